"""A Lua script of the store's."""

import hashlib
from importlib.resources import files


class Script:
    """Run by its digest, and sent in full when the server does not have it (any more)."""

    def __init__(self, name: str) -> None:
        """Read ``name``.lua from beside this file."""
        self._text = files("swit_saga_server.store.redis").joinpath(f"{name}.lua").read_text()
        self.use_header(with_header=True)

    def use_header(self, *, with_header: bool) -> None:
        """Since 7.0 a header makes Redis refuse the script when memory is full; before, it is a syntax error."""
        self.text = f"#!lua\n{self._text}" if with_header else self._text
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
