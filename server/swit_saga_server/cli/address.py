"""Where the coordinator is, as it is typed."""

from swit_saga.addresses import check_target

SHOWN = 200
"""Characters of an address that are repeated."""


def coordinator_address(text: str) -> str:
    """An address, see ``swit_saga.addresses.check_target``.

    Raises:
        ValueError: It is none; the message says how to write it.
    """
    try:
        return check_target(text)
    except ValueError as wrong:
        # With an @ there may be a password in it.
        shown = "" if "@" in text or len(text) > SHOWN else f"{text!r}: "
        raise ValueError(f"{shown}{wrong}") from None
