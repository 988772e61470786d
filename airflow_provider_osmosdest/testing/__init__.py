"""Contract suites and fakes that others may use for readers, transports and stores of their own."""
