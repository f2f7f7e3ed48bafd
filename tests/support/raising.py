"""For a process pool's worker, which imports no more than this."""


def raise_it(error: BaseException) -> None:
    """Raise it there."""
    raise error
