"""Another application wrote over single keys of ours: what they concern stands still, all else goes on."""

from typing import Any

from redis import Redis

from swit_saga import UnavailableError
from swit_saga_server.store.contract import partition_of
from tests.rpc.test_redis_goes_back import many
from tests.support.waiting import eventually


def plant(admin: Redis, pattern: str) -> dict[Any, Any]:
    """Values of another type under these keys; what was there before."""
    found: dict[Any, Any] = {key: admin.dump(key) for key in admin.keys(pattern)}
    assert found, f"there is no key like {pattern}"
    pipe = admin.pipeline(transaction=True)
    for key in found:
        pipe.delete(key)
        pipe.set(key, "mine")
    pipe.execute()
    return found


def put_back(admin: Redis, found: dict[Any, Any]) -> None:
    for key, dump in found.items():
        admin.restore(key, 0, dump, replace=True)


async def test_the_lease_of_one_partition_costs_that_one(tmp_path):
    async with many(tmp_path) as m:
        (one,) = m.coordinators
        m.go.set()
        taken = plant(m.admin, "*{0}:lease")
        await eventually(lambda: m.said("partition_fenced"))
        for saga_id in [i for i in (f"o-{n}" for n in range(40)) if partition_of(i, 4)]:
            await (await one.start("order", 1, saga_id=saga_id)).wait()
        assert [x["partition"] for x in m.said("partition_fenced")] == [0]
        assert not m.said("partitions_lapsed"), "the others' leases are renewed all the same"
        await one.health()
        put_back(m.admin, taken)
        saga_id = next(i for i in (f"o-{n}" for n in range(40)) if not partition_of(i, 4))
        await (await one.start("order", 1, saga_id=saga_id)).wait()


async def test_what_all_depends_on_is_known_to_health(tmp_path):
    """Its heartbeat cannot be written: it holds nothing any more, whatever else Redis takes."""
    async with many(tmp_path) as m:
        (one,) = m.coordinators
        m.go.set()
        taken = plant(m.admin, "*:living")

        async def is_well() -> bool:
            try:
                await one.health()
            except UnavailableError as unwell:
                return "somebody else wrote into our keys" not in str(unwell)
            return True

        async def is_unwell() -> bool:
            return not await is_well()

        await eventually(is_unwell)
        put_back(m.admin, taken)
        await eventually(is_well)
        await (await one.start("order", 1)).wait()
