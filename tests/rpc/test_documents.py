"""The Python of docs/client.md and docs/participants.md, as printed."""

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from swit_saga import Participant, Reject, Saga, Step
from swit_saga.v1.participant_service_pb2 import CompensateRequest
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from tests.support.rpc.serve import serve
from tests.support.waiting import never

DOCS = Path(__file__).parents[2] / "docs"


def run(name: str) -> dict[str, Any]:
    """Run a page's Python blocks, one after another; the names they leave."""
    text = (DOCS / name).read_text()
    names: dict[str, Any] = {"__name__": name.removesuffix(".md")}
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert len(blocks) == text.count("```python") > 3
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block.group(1), str(DOCS / name), "exec"), names)
    return names


def services() -> list[Participant]:
    """The participants that client.md speaks of."""
    inventory, payment, mail = (Participant(name) for name in ("inventory", "payment", "mail"))

    @inventory.step("reserve")
    async def reserve(order: dict[str, str]) -> dict[str, str]:
        if order["product"] != "apple":
            raise Reject("OUT_OF_STOCK", "nothing left")
        return order

    @reserve.compensate
    async def release() -> None: ...

    @payment.step("pay")
    async def pay() -> None: ...

    @pay.compensate
    async def refund() -> None: ...

    @mail.step("mail")
    async def write() -> dict[str, bool]:
        return {"mailed": True}

    return [inventory, payment, mail]


async def test_the_client_page(tmp_path, capsys):
    page = await asyncio.to_thread(run, "client.md")
    async with serve(tmp_path, services()) as s:
        await page["place_order"](s.address)
        assert "saga.completed" in capsys.readouterr().out
        await page["look_around"](s.address)
        assert "order-17" in capsys.readouterr().out
        await page["read_a_large_one"](s.address)
        await page["when_it_goes_wrong"](s.address)
        await asyncio.to_thread(page["place_order_plainly"], s.address)
        await page["definitions"](s.address)
        assert [x.state async for x in s.client.list(order_by="created_at asc")] == [
            "completed",
            "compensated",
            "completed",
        ]
    await page["embedded"](str(tmp_path / "embedded.db"))


@pytest.fixture
async def participants_page():
    # Its first blocks run a loop of their own, as a test of the reader's would.
    page = await asyncio.to_thread(run, "participants.md")
    yield page
    page["server"].stop(None).wait()


async def test_the_participants_page(tmp_path, participants_page):
    page = participants_page
    assert page["reserve"].__name__ == "reserve"
    await page["over_the_network"](str(tmp_path / "saga.db"))
    assert page["stock"].left == {"apple": 0}
    # Rule 3, of the page's own code: after its compensation a late Execute is turned away.
    page["stock"].give_back("late")
    with pytest.raises(Reject, match="UNDONE"):
        page["stock"].take("apple", "late")
    await page["two_in_one_process"](str(tmp_path / "two.db"))
    config = SagaConfig.load(
        overrides={
            "storage": {"connection": str(tmp_path / "other.db")},
            "participants": {"payment": {"address": f"127.0.0.1:{page['port']}"}},
        }
    )
    async with Coordinator.open(config) as coordinator:
        saga = Saga("pay", [Step("pay", "payment")])
        assert await (await coordinator.start(saga, "me")).result(str) == "paid by me"
        for definition, data, code in (
            (saga, "broke", "NO_FUNDS"),
            (Saga("x", [Step("dance", "payment")]), "me", "INVALID_ARGUMENT"),
        ):
            undone = await (await coordinator.start(definition, data)).wait()
            assert undone.error is not None
            assert (undone.state, undone.error.code) == ("compensated", code)


async def test_the_participants_page_without_the_sdk(participants_page):
    """Its rules, of the page's own code: a duplicate in flight joins, and an Execute after its undo is turned away."""
    payment, begun, may_end = participants_page["Payment"](), threading.Event(), threading.Event()

    def first() -> str:
        begun.set()
        assert may_end.wait(10)
        return "first"

    doing = asyncio.create_task(asyncio.to_thread(payment.once, "k", first))
    await asyncio.to_thread(begun.wait, 10)
    joining = asyncio.create_task(asyncio.to_thread(payment.once, "k", lambda: "second"))
    undoing = asyncio.create_task(
        asyncio.to_thread(payment.Compensate, CompensateRequest(execute_idempotency_key="k"), None)
    )
    await never(lambda: joining.done() or undoing.done())
    may_end.set()
    assert [await doing, await joining] == ["first", "first"]
    assert (await undoing).HasField("completed")
    assert payment.pay("me", "k").rejected.error.code == "UNDONE"
