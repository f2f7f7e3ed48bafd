"""A short storm of random messages and bytes over every RPC; the long one is ``make fuzz``."""

from tests.support.fuzz.storm import METHODS, storm
from tests.support.rpc.serve import ORDER, serve


async def test_no_message_gets_an_internal_error(tmp_path):
    async with serve(tmp_path) as served:
        await served.client.register(ORDER)
        await (await served.client.start("order", {}, saga_id="known")).wait()
        report = await storm(served.address, 3_000, 1, ["known", "order", "shop", "reserve"])
        assert {method for method, _ in report.statuses} == {method.name for method in METHODS}
        assert not report.faults, "\n".join(report.lines())
        saga = await (await served.client.start("order", {}, saga_id="afterwards")).wait()
        assert saga.state == "completed"
