"""Contract suites and fakes, for tests of your own readers, transports and stores."""
