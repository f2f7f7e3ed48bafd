"""Where the coordinator is, as it is typed."""

from swit_saga.addresses import check_target


def coordinator_address(text: str) -> str:
    """An address, see ``swit_saga.addresses.check_target``.

    Raises:
        ValueError: It is none; the message says how to write it.
    """
    try:
        return check_target(text)
    except ValueError as wrong:
        shown = "" if "@" in text else f"{text!r}: "  # There may be a password.
        raise ValueError(f"{shown}{wrong}") from None
