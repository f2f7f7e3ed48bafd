"""The core's values: dataclasses that nobody changes, and changed copies of them.

Nearly every transition is copies of large records with few changes. So ``frozen=True`` is kept by the type checker,
which sees all of this code, and not at run time too, where it more than doubles the cost of making a record; and
``evolve`` takes a fifth of the time of ``dataclasses.replace``, which goes through ``__init__`` a keyword at a time.
None of the records has an ``__init__`` of its own or a ``__post_init__``.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any

__all__ = ["evolve", "record"]

if TYPE_CHECKING:
    # What the type checker knows by heart.
    from dataclasses import dataclass as record
    from dataclasses import replace as evolve
else:

    def record(*, frozen: bool, **how: Any) -> Any:
        """``dataclass(frozen=True, ...)``, see above: equal and hashable by its fields."""
        assert frozen
        return dataclass(unsafe_hash=True, **how)

    def evolve(value: Any, **changes: Any) -> Any:
        """A copy of ``value`` with these fields changed.

        Raises:
            AttributeError: It has no such field.
        """
        made = _copier(value.__class__)(value)
        for name, changed in changes.items():
            setattr(made, name, changed)
        return made


@cache
def _copier(kind: type) -> Callable[[Any], Any]:
    """How to copy a ``kind``, written out field by field, as dataclasses does it: a loop takes twice as long."""
    assert not hasattr(kind, "__post_init__")
    lines = ["def copy(value):", "    made = new(kind)"]
    lines += [f"    made.{field.name} = value.{field.name}" for field in fields(kind)]
    scope: dict[str, Any] = {"kind": kind, "new": object.__new__}
    exec("\n".join([*lines, "    return made"]), scope)
    copy: Callable[[Any], Any] = scope["copy"]
    return copy
