"""Definitions: registered ones with versions, and those that came with a saga."""

import asyncio
from dataclasses import replace

import pytest

from swit_saga_server.core.definition import Definition
from swit_saga_server.core.errors import InvalidRequest
from swit_saga_server.core.limits import PAGE_BYTES
from swit_saga_server.store.conformance.backend import Backend, WithStore, reopen
from swit_saga_server.store.conformance.samples import T0, applied, definition, moment, start
from swit_saga_server.store.contract import Lease, StateStorage, StoredDefinition, Write


class DefinitionTests(WithStore):
    """``register``, ``definition``, ``list_definitions``, ``disable_definition``."""

    async def test_same_content_same_version(self, backend: Backend, store: StateStorage) -> None:
        """Versions count from 1 per id; content is told by its digest; all of it is durable."""
        first, second = definition(), definition(description="changed")
        stored, new = await store.register(first, "d1", T0)
        assert (stored, new) == (StoredDefinition(definition=first, version=1, digest="d1", registered_at=T0), True)
        assert await store.register(first, "d1", moment(9)) == (stored, False)
        other, new = await store.register(second, "d2", moment(1))
        assert (other.version, new) == (2, True)
        assert (await store.register(definition("another"), "d1", T0))[0].version == 1
        store = await reopen(backend, store)
        try:
            assert await store.register(first, "d1", moment(9)) == (stored, False)
            assert await store.definition("order", 1, "") == stored
            assert await store.definition("order", 2, "") == other
            assert await store.definition("order", 3, "") is None
            assert await store.definition("order", 0, "") == other
            assert await store.definition("nobody", 0, "") is None
        finally:
            await store.close()

    async def test_registering_at_once(self, store: StateStorage) -> None:
        """Each content gets one version, each version one content."""
        found = await asyncio.gather(
            *(store.register(definition(description=str(n % 3)), f"d{n % 3}", T0) for n in range(12))
        )
        assert sorted({(s.version, s.digest) for s, _ in found}) == sorted({(s.version, s.digest) for s, _ in found})
        assert sorted({s.version for s, _ in found}) == [1, 2, 3]
        assert len({s.digest for s, _ in found}) == 3
        assert [new for _, new in found].count(True) == 3

    async def test_disabled_is_passed_over_but_kept(self, store: StateStorage) -> None:
        """The latest that is not disabled counts; the version itself is still read; registering enables nothing."""
        for n in (1, 2, 3):
            await store.register(definition(description=str(n)), f"d{n}", T0)
        disabled = await store.disable_definition("order", 3, True)
        assert disabled is not None
        assert disabled.disabled
        latest = await store.definition("order", 0, "")
        assert latest is not None
        assert latest.version == 2
        assert await store.definition("order", 3, "") == disabled
        again, new = await store.register(definition(description="3"), "d3", T0)
        assert (again.disabled, new) == (True, False)
        enabled = await store.disable_definition("order", 3, False)
        assert enabled == replace(disabled, disabled=False)
        assert await store.definition("order", 0, "") == enabled
        for version in (1, 2, 3):
            await store.disable_definition("order", version, True)
        assert await store.definition("order", 0, "") is None
        for absent in (("order", 4), ("order", 0), ("nobody", 1)):
            assert await store.disable_definition(*absent, True) is None

    async def test_definition_that_came_with_a_saga(
        self, backend: Backend, store: StateStorage, leases: dict[int, Lease]
    ) -> None:
        """Kept by its digest in the step that creates the saga; no version of its id; by a create, too."""
        one, two = definition(description="one"), definition(description="two")

        def bringing(brought: Definition, digest: str) -> Write:
            return replace(start(definition_version=0, definition_digest=digest), definition=brought)

        await applied(store, leases, bringing(one, "i1"), bringing(one, "i1"))
        await store.create(bringing(two, "i2"))
        store = await reopen(backend, store)
        try:
            kept = await store.definition("order", 0, "i1")
            assert kept is not None
            assert (kept.definition, kept.version, kept.digest) == (one, 0, "i1")
            other = await store.definition("order", 0, "i2")
            assert other is not None
            assert other.definition == two
            assert await store.definition("order", 0, "i3") is None
            assert await store.definition("order", 0, "") is None
            assert (await store.list_definitions("", True, 10, "")).definitions == ()
            assert (await store.register(one, "i1", T0))[0].version == 1
        finally:
            await store.close()

    async def test_lists(self, store: StateStorage) -> None:
        """The latest of each id, or all versions of one; by id and version; without those disabled unless asked."""
        for name in ("b", "a", "c"):
            for n in (1, 2):
                await store.register(definition(name, description=str(n)), f"{name}{n}", T0)
        await store.disable_definition("b", 2, True)
        for version in (1, 2):
            await store.disable_definition("c", version, True)

        async def pages(definition_id: str, disabled: bool) -> list[tuple[str, int]]:
            found: list[tuple[str, int]] = []
            token = ""
            while True:
                page = await store.list_definitions(definition_id, disabled, 1, token)
                found += [(d.definition.id, d.version) for d in page.definitions]
                if not (token := page.next_token):
                    return found

        assert await pages("", False) == [("a", 2), ("b", 1)]
        assert await pages("", True) == [("a", 2), ("b", 2), ("c", 2)]
        assert await pages("b", False) == [("b", 1)]
        assert await pages("b", True) == [("b", 1), ("b", 2)]
        assert await pages("nobody", True) == []
        with pytest.raises(InvalidRequest):
            await store.list_definitions("", True, 10, "nonsense")
        page = await store.list_definitions("b", True, 10, "")
        assert [d.version for d in (await store.list_definitions("b", True, 10, page.tokens[0])).definitions] == [2]

    async def test_pages_of_definitions_end_by_bytes(self, store: StateStorage) -> None:
        """However many are asked for: one at least, and no more after ``PAGE_BYTES``."""
        for name in "abcde":
            await store.register(definition(name, metadata={"x": name * (PAGE_BYTES // 3)}), f"{name}1", T0)
        page = await store.list_definitions("", True, 100, "")
        assert [d.definition.id for d in page.definitions] == ["a", "b", "c"]
        page = await store.list_definitions("", True, 100, page.next_token)
        assert [d.definition.id for d in page.definitions] == ["d", "e"]
        assert page.next_token == ""
