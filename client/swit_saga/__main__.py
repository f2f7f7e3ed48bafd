"""The ``swit-saga`` command. It lives with the server; the light install says how to get that."""

import os
import sys
from importlib import import_module

INTERRUPTED = 130
"""Ctrl-C, as shells say it."""


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] not in (["serve"], ["dev"]):
        # gRPC's own log goes to standard error, between the lines for people; it is set before gRPC is loaded.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import_module("swit_saga_server.cli").main()
    except ModuleNotFoundError as missing:
        name = missing.name or ""
        # A part of ours that is missing is no matter of what is installed beside it.
        if name.startswith("swit_saga") and name != "swit_saga_server":
            raise
        print(
            f"The swit-saga command needs the server's packages ({name} is missing). Install them with:\n"
            "  pip install 'swit-saga[server]'",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
