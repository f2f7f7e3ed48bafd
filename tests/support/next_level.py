"""The next version of this software, made up: the present one with one more field, which came with the next level.

``python -m tests.support.next_level serve ...`` is its command. A saga that is started with the label ``LABEL`` has
``new`` set: no older version has that field, so that whatever it reads of such a saga is longer than it knows. A
record without it is the same at both levels.

The source of the modules that this changes is changed before any of them is loaded: so it is the very thing that a
later commit does, and all that is derived from the model (layouts, writers, checks) follows by itself.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

LABEL = "next"

Change = tuple[str, str]

CHANGED: dict[str, Sequence[Change]] = {
    "swit_saga_server.store.levels": [
        ("LEVEL = 2\n", "LEVEL = 3\n"),
        (
            'SINCE: Mapping[str, int] = {"Completed.error": 2}\n',
            'SINCE: Mapping[str, int] = {"Completed.error": 2, "Saga.new": 3}\n',
        ),
    ],
    "swit_saga_server.core.model": [
        ("    started_by: Principal = ANONYMOUS\n", "    started_by: Principal = ANONYMOUS\n    new: bool = False\n"),
    ],
    "swit_saga_server.core.start": [
        ("    return Saga(\n", f'    return Saga(\n        new="{LABEL}" in request.labels,\n'),
    ],
}
"""By module, in the order in which they are loaded: what stands there once, and what stands there next."""


def upgrade() -> None:
    """Make this process one of the next version. Nothing of the server may be loaded yet.

    Raises:
        RuntimeError: Something is loaded, or what is to be changed is not there.
    """
    if loaded := [name for name in sys.modules if name.startswith("swit_saga_server.")]:
        raise RuntimeError(f"too late, loaded already: {loaded}")
    for name, changes in CHANGED.items():
        _load(name, changes)


def _load(name: str, changes: Sequence[Change]) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"there is no module {name}")
    source = Path(spec.origin).read_text()
    for present, following in changes:
        if source.count(present) != 1:
            raise RuntimeError(f"{present!r} stands {source.count(present)} times in {name}, and should stand once")
        source = source.replace(present, following)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(source, spec.origin, "exec"), vars(module))
    package, _, last = name.rpartition(".")
    setattr(importlib.import_module(package), last, module)


if __name__ == "__main__":
    upgrade()
    importlib.import_module("swit_saga_server.cli").main()
