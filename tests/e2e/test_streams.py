"""Standard output and error closed, full, or read by nobody: that costs lines, and nothing else."""

from collections import Counter
from typing import Any

import pytest

from swit_saga import AsyncSagaClient, Participant, Saga, Step, fixed
from tests.support.processes import command
from tests.support.redis_server import free_port

pytestmark = pytest.mark.e2e
FLAKY = Saga(
    "flaky",
    [Step("pay", "shop", timeout="5s", compensation=False)],
    retry=fixed("1ms", max_attempts=100),
    timeout="20s",
)
SAGAS = 20


@pytest.mark.parametrize(
    "shell",
    [
        "<&- >&- 2>&-",
        ">/dev/full 2>/dev/full",
        "> >(true) 2> >(head -1 >/dev/null)",
        "2> >(exec sleep 15 >/dev/null 2>&1)",
    ],
)
async def test_sagas_go_on(tmp_path, shell):
    """Handlers raise, so that there is much to say."""
    shop, port, tries = Participant("shop"), free_port(), Counter[int]()

    @shop.step("pay")
    async def pay(order: Any) -> str:
        tries[order["id"]] += 1
        if tries[order["id"]] < 4:
            raise RuntimeError("not yet: " + "x" * 3000)
        return "paid"

    async with shop.serve("127.0.0.1:0") as serving:
        words = ("serve", "--listen", f"127.0.0.1:{port}", "--participant", f"shop=127.0.0.1:{serving.port}")
        variables = {"SWIT_SAGA_LOGGING__LEVEL": "debug"}
        async with (
            command(tmp_path, *words, shell=shell, variables=variables) as run,
            AsyncSagaClient(f"127.0.0.1:{port}", timeout="20s") as sagas,
        ):
            handles = [await sagas.start(FLAKY, {"id": n}) for n in range(SAGAS)]
            for handle in handles:
                assert (await handle.wait(timeout="20s")).state == "completed"
            run.process.terminate()
            assert await run.ends() == 0, run.said
    assert "Traceback" not in run.said
