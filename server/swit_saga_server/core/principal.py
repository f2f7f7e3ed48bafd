"""Who asks: the identity behind whatever a person or a program causes."""

from typing import NewType

Principal = NewType("Principal", str)
"""As the transport made sure of it. It is put on record and is part of no fingerprint."""

ANONYMOUS = Principal("")
"""Nobody in particular: no authentication, or the coordinator itself."""
