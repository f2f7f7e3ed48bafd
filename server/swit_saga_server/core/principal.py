"""Who asks: carried by every input that a person or a program causes, kept with what it led to."""

from typing import NewType

Principal = NewType("Principal", str)
"""A verified name, typed by a prefix such as ``uri:``, ``jwt:`` or ``key:``. It is part of no fingerprint."""

ANONYMOUS = Principal("")
"""Nobody was asked for a name: the coordinator runs without authentication."""
