"""Which schema a file has, and how an older one becomes the present one.

``schema.sql`` is the first schema and stays as it is; every later one is a step here, SQL that leads from the one
before. A new file takes the same way, so that there is but one. All steps are taken in one transaction when the file is
opened. An older version refuses a newer file: what it does not know, it would not keep.
"""

from collections.abc import Sequence

FIRST = 3
"""The schema of ``schema.sql``. Those before were never released."""

MIGRATIONS: Sequence[str] = ()
"""Statements that lead from schema FIRST to FIRST + 1, from that to FIRST + 2, and so on. Only ever appended to."""


def steps_from(version: int, migrations: Sequence[str] = MIGRATIONS) -> Sequence[str]:
    """What leads from a file's schema to the present one.

    Raises:
        ValueError: There is no way; the message says why, and what to do.
    """
    present = FIRST + len(migrations)
    if version < FIRST:
        raise ValueError(
            f"has schema version {version}, of before the first release, and this server reads {FIRST} and later: "
            "let the version that wrote it finish its sagas, then begin with a new file"
        )
    if version > present:
        raise ValueError(
            f"has schema version {version}, of a newer version of this server, and this one reads up to {present}: "
            "use that version, or a copy of the file from before it was upgraded"
        )
    return migrations[version - FIRST :]
