"""Texts that others wrote, as they can be kept: within their bounds, and such that UTF-8 can say them."""

MARK_BYTES = 40
"""Of the mark that says how much was cut, at most."""


def cut(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` bytes: the beginning, and how much follows, if it has more."""
    return cut_end(text, limit)[0]


def cut_end(text: str, limit: int) -> tuple[str, int]:
    """The same, and how many bytes were cut. What was cut to ``limit`` once is not cut again.

    What UTF-8 has no words for (lone surrogates, as file names may have) is spelled out.
    """
    data = encoded(text)
    if len(data) <= limit:
        return data.decode(), 0
    kept = data[: max(limit - MARK_BYTES, 0)].decode(errors="ignore")
    omitted = len(data) - len(kept.encode())
    return f"{kept}{_mark(omitted)}", omitted


def cut_middle(text: str, limit: int) -> tuple[str, int]:
    """Both ends of ``text`` and how much lies between, in at most ``limit`` bytes, and how many bytes that was.

    Some languages' stack traces begin with what happened, others end with it.
    """
    data = encoded(text)
    if len(data) <= limit:
        return data.decode(), 0
    half = max(limit - MARK_BYTES - 2, 0) // 2
    begin, end = data[:half].decode(errors="ignore"), data[len(data) - half :].decode(errors="ignore")
    omitted = len(data) - len(begin.encode()) - len(end.encode())
    return f"{begin}\n{_mark(omitted)}\n{end}", omitted


def encoded(text: str) -> bytes:
    """As UTF-8; what that has no words for is spelled out."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace")


def printable(text: str, length: int) -> str:
    """At most ``length`` characters of ``text``; those that cannot be shown are spelled out."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:length])
    return text[:length]


def _mark(omitted: int) -> str:
    return f"… [{omitted:,} bytes cut]"
