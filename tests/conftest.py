"""For all suites: see ``tests.support.lanes``."""

pytest_plugins = ["tests.support.lanes"]
