"""``definitions apply``: all of a file's definitions or none, and each named by what was wrong with it."""

import json
from functools import partial

import pytest

from swit_saga.errors import NotFoundError
from tests.support.cli.command import run
from tests.support.logs import logged
from tests.support.rpc.serve import serve

GOOD = {"id": "good", "steps": [{"id": "a", "participant": "shop", "action": "reserve"}]}


@pytest.fixture
def apply(tmp_path, monkeypatch):
    def of(address: str, *definitions: object, more: tuple[str, ...] = ()):
        (tmp_path / "d.yaml").write_text(json.dumps({"definitions": definitions}))
        monkeypatch.chdir(tmp_path)
        return partial(run, monkeypatch)("definitions", "apply", "d.yaml", "--address", address, *more)

    with logged():
        yield of


async def test_nothing_is_registered_unless_all_are_good(tmp_path, apply):
    twice = {"id": "bad", "steps": [{"id": "a", "participant": "shop"}, {"id": "a", "participant": "shop"}]}
    async with serve(tmp_path) as s:
        said = await apply(s.address, GOOD, twice, {"id": "empty"})
        with pytest.raises(NotFoundError):
            await s.client.definition("good")
        first, *_, last = said.err.splitlines()
        assert (said.code, said.out, last) == (1, "", "  nothing was registered")
        assert first.startswith("swit-saga: d.yaml: definitions[1] 'bad': steps[1]")
        assert "  d.yaml: definitions[2] 'empty': steps: " in said.err


async def test_what_was_registered_is_said(tmp_path, apply):
    async with serve(tmp_path) as s:
        said = await apply(s.address, GOOD, {**GOOD, "id": "other"})
        assert (said.code, said.out) == (0, "good version 1\nother version 1\n")
        said = await apply(s.address, {**GOOD, "name": "changed"}, more=("--json",))
        assert json.loads(said.out) == {"id": "good", "version": 2}


async def test_a_failure_in_between_says_how_far_it_came(tmp_path, apply, monkeypatch):
    async with serve(tmp_path) as s:
        definitions = s.runtime.service.definitions
        register = definitions.register

        async def only_good(definition):
            if definition.id != "good":
                raise NotImplementedError("a coordinator that fails")
            return await register(definition)

        monkeypatch.setattr(definitions, "register", only_good)
        said = await apply(s.address, GOOD, {**GOOD, "id": "other"})
        where, failure = said.err.splitlines()
        assert (said.code, said.out) == (1, "good version 1\n")
        assert where.startswith("swit-saga: d.yaml: definitions[1] 'other': not registered, as far as is known; the 1 ")
        assert failure == "swit-saga: the coordinator failed on this; its log says why"
