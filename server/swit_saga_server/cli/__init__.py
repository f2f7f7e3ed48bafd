"""The ``swit-saga`` command: ``serve`` and ``dev`` run a coordinator, the rest talks to one."""

from swit_saga_server.cli.entry import main

__all__ = ["main"]
