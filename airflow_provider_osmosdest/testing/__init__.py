"""
Contract suites and fakes, for tests of your own readers, transports and stores.

In come what makes yours, as fixtures; out go tests that pytest runs on it.
"""
