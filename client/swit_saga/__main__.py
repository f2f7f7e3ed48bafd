"""The ``swit-saga`` command. It lives with the server; the light install says how to get that."""

import sys
from importlib import import_module


def main() -> None:
    """Run the command line."""
    try:
        cli = import_module("swit_saga_server.cli")
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("swit_saga"):
            raise
        print(
            f"The swit-saga command needs the server's packages ({missing.name} is missing). Install them with:\n"
            "  pip install 'swit-saga[server]'",
            file=sys.stderr,
        )
        sys.exit(1)
    cli.main()


if __name__ == "__main__":
    main()
