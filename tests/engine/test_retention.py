"""Sagas are forgotten when they have been over for long enough; those that failed, or are not over, never."""

from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import SECOND
from swit_saga_server.store.conformance.samples import FAR
from tests.support.core.drive import done, no
from tests.support.engine.harness import Bench, bench, over
from tests.support.waiting import eventually


async def run(b: Bench, saga_id: str, *answers: object) -> SagaState:
    await b.begin(saga_id)
    for answer in answers:
        command = await eventually(
            lambda: next((c for c in b.transport.sent if c.command_id in b.transport.open), None)
        )
        b.answer(command, answer)  # type: ignore[arg-type]
    return (await b.until(saga_id, over)).state if len(answers) > 1 else SagaState.RUNNING


async def test_what_is_over_is_forgotten_in_time(tmp_path):
    async with bench(tmp_path, retention=SECOND, cleanup_interval=SECOND // 10) as b:
        assert await run(b, "completed", done(), done()) is SagaState.COMPLETED
        assert await run(b, "compensated", done(), no(), done()) is SagaState.COMPENSATED
        assert await run(b, "failed", done(), no(), no()) is SagaState.FAILED
        await run(b, "running")
        assert all(await b.store.load(["completed", "compensated", "failed", "running"]))

        async def left() -> bool:
            found = await b.store.load(["completed", "compensated", "failed", "running"])
            return [saga is not None for saga in found] == [False, False, True, True]

        await eventually(left)
        await eventually(lambda: b.engine.retention.deleted == 2)


async def test_without_a_retention_nothing_is_forgotten(tmp_path):
    async with bench(tmp_path, cleanup_interval=SECOND // 100) as b:
        await run(b, "s", done(), done())
        await b.until("s", over)
        assert b.engine.retention.deleted == 0
        assert await b.store.expired(0, FAR, 10) == ["s"]
