"""Real servers for the tests: private ones, on free ports, ended with the tests."""
