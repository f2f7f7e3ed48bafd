"""Where a function is known: by its owner, by modules that imported it, in tables that hold it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from operator import setitem
from typing import Any

OURS = ("swit_saga", "swit_saga_server", "tests", "examples", "bench")
"""Packages whose modules are looked through."""

Place = tuple[Callable[[Any], None], Any, Any]
"""Puts something there; what is there; what it is with the one function replaced by the other."""


@contextmanager
def substituted(old: Callable[..., Any], new: Callable[..., Any]) -> Iterator[None]:
    """``new`` stands wherever our modules and their classes know ``old``, while the context lasts.

    Raises:
        RuntimeError: ``old`` is known nowhere, or some of ``new`` stayed behind.
    """
    places = list(_places(old, new))
    if not places:
        raise RuntimeError(f"no module and no class knows {old.__qualname__}")
    try:
        for put, _, changed in places:
            put(changed)
        yield
    finally:
        for put, before, _ in places:
            put(before)
        if left := list(_places(new, old)):
            raise RuntimeError(f"the replacement of {old.__qualname__} stayed behind in {len(left)} places")


def _places(old: Any, new: Any) -> Iterator[Place]:
    looked_at: set[int] = set()
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in OURS and module is not None:
            yield from _in(module, old, new, looked_at)


def _in(owner: Any, old: Any, new: Any, looked_at: set[int]) -> Iterator[Place]:
    looked_at.add(id(owner))
    for name, value in list(vars(owner).items()):
        changed = _changed(value, old, new)
        if changed is not None:
            yield partial(setattr, owner, name), value, changed
        elif isinstance(value, type):
            if (value.__module__ or "").split(".")[0] in OURS and id(value) not in looked_at:
                yield from _in(value, old, new, looked_at)
        elif isinstance(value, dict) and not name.startswith("__"):
            for key, held in list(value.items()):
                if held is old:
                    yield partial(setitem, value, key), held, new


def _changed(value: Any, old: Any, new: Any) -> Any:
    """What a value becomes; None if it has nothing to do with ``old``."""
    if value is old:
        return new
    if isinstance(value, (staticmethod, classmethod)) and value.__func__ is old:
        return type(value)(new)
    if isinstance(value, property) and value.fget is old:
        return property(new, value.fset, value.fdel, value.__doc__)
    if type(value) in (tuple, list) and any(one is old for one in value):
        return type(value)(new if one is old else one for one in value)
    return None
