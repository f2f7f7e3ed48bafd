"""For all suites: see ``tests.support.lanes``."""

import pytest

from swit_saga_server.logs import forget_folded

pytest_plugins = ["tests.support.lanes", "tests.support.reports"]


@pytest.fixture(autouse=True)
def lines_are_first_ones() -> None:
    """What one test had logged is not to fold away what the next one looks for."""
    forget_folded()
