"""``make demo``: five orders, five ways things go, and the participants' own books compared at the end.

Exits 0 only if every saga had the outcome it should have had AND stock, money, orders and letters agree with it.
``STORE=redis`` keeps the state in a Redis of its own; ``COORDINATORS=3`` then runs as many on it.
"""

import asyncio
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.table import Table

from examples.order_saga.faults import Faults
from examples.order_saga.processes import Process
from examples.order_saga.saga import ORDER_SAGA
from examples.order_saga.shop_pb2 import Order
from swit_saga import AsyncSagaClient, SagaHandle

PRODUCT, STOCK, PRICE = "product-1", 100, 1_000
CUSTOMERS = {"alice": 10_000, "bob": 500, "carol": 10_000, "dave": 2_000, "erin": 10_000}
PARTICIPANTS = ("orders", "inventory", "payment", "confirmation")
console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Scene:
    """One order and what befalls it.

    Attributes:
        prepare: Before the order starts.
        on: At the first event of this type and step, ``then`` is done.
        at_least: Attempts of the step that must have been seen, so that a fault that missed is not taken for survived.
    """

    title: str
    customer: str
    outcome: str
    prepare: Callable[["Shop"], None] = lambda shop: None
    on: tuple[str, str] = ("", "")
    then: Callable[["Shop"], Awaitable[None]] | None = None
    proof: tuple[str, str] = ("", "")


class Shop:
    """All processes of the demo."""

    def __init__(self, folder: Path, store: str, coordinators: int) -> None:
        self.folder = folder
        self.store = store
        self.faults = Faults(folder)
        self.participants = {
            name: Process(name, ["-m", f"examples.order_saga.{name}", "127.0.0.1:{port}", str(folder)], folder)
            for name in PARTICIPANTS
        }
        names = ["coordinator"] if coordinators == 1 else [f"coordinator-{n + 1}" for n in range(coordinators)]
        self.coordinators = [Process(name, [], folder) for name in names]
        self.redis: Process | None = None

    @property
    def target(self) -> str:
        """Where the coordinators are; the client takes the first that answers."""
        return "ipv4:" + ",".join(f"127.0.0.1:{c.port}" for c in self.coordinators)

    async def open(self) -> None:
        await asyncio.gather(*(p.start() for p in self.participants.values()))
        with sqlite3.connect(self.folder / "inventory.db") as db:
            db.execute("insert into stock values (?, ?)", (PRODUCT, STOCK))
        with sqlite3.connect(self.folder / "payment.db") as db:
            db.executemany("insert into account values (?, ?)", CUSTOMERS.items())
        where = [f"--participant={name}=127.0.0.1:{p.port}" for name, p in self.participants.items()]
        config = self.folder / "coordinator.yaml"
        config.write_text(await self._storage())
        arguments = ["-m", "swit_saga", "serve", f"--config={config}", "--listen=127.0.0.1:{port}", *where]
        self.coordinators = [Process(c.name, arguments, self.folder) for c in self.coordinators]
        await asyncio.gather(*(c.start() for c in self.coordinators))

    async def _storage(self) -> str:
        if self.store == "sqlite":
            return f"storage:\n  connection: {self.folder / 'coordinator.db'}\n"
        program = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
        if program is None:
            sys.exit("STORE=redis needs redis-server: install it, or name it by REDIS_SERVER=/path/to/redis-server")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        arguments = ["--bind", "127.0.0.1", "--port", "{port}", "--dir", str(self.folder), *durable]
        self.redis = Process("redis", arguments, self.folder, program=program, port=port)
        await self.redis.start()
        return f"storage:\n  type: redis\n  redis: {{address: '127.0.0.1:{port}', durability: fsync}}\n"

    async def close(self) -> None:
        await asyncio.gather(*(p.stop() for p in [*self.coordinators, *self.participants.values()]))
        if self.redis is not None:
            await self.redis.stop()


async def _restart(*processes: Process, pause_s: float) -> None:
    for process in processes:
        console.print(f"      [red]kill -9 {process.name}[/red]")
        await process.kill()
    await asyncio.sleep(pause_s)
    for process in processes:
        await process.start()
        console.print(f"      [green]{process.name} is back[/green]")


SCENES = (
    Scene("a good order", "alice", "completed"),
    Scene("the payment is rejected", "bob", "compensated"),
    Scene(
        "a participant is killed in mid-step and brought back",
        "carol",
        "completed",
        prepare=lambda shop: shop.faults.plant("hang"),
        on=("saga.step.started", "reserve-inventory"),
        then=lambda shop: _restart(shop.participants["inventory"], pause_s=0.5),
        proof=("retry.attempted", "reserve-inventory"),
    ),
    Scene(
        "the reply to a committed payment is lost; the retry is rejected",
        "dave",
        "compensated",
        prepare=lambda shop: shop.faults.plant("cut-reply"),
        proof=("retry.attempted", "process-payment"),
    ),
    Scene(
        "the coordinator is killed in mid-saga and brought back",
        "erin",
        "completed",
        prepare=lambda shop: shop.faults.plant("slow"),
        on=("saga.step.started", "confirm-order"),
        then=lambda shop: _restart(*shop.coordinators, pause_s=0.2),
    ),
)


async def play(scene: Scene, shop: Shop, sagas: AsyncSagaClient) -> tuple[SagaHandle, list[str]]:
    """Run one order; what went otherwise than it should is returned."""
    console.print(f"\n[bold]{scene.title}[/bold]  ({scene.customer}, {'should be ' + scene.outcome})")
    scene.prepare(shop)
    order = Order(customer=scene.customer, product=PRODUCT, quantity=2, price_cents=PRICE)
    handle = await sagas.start("order-processing", order, labels={"customer": scene.customer})
    began, seen = monotonic(), set[tuple[str, str]]()
    disturbance: asyncio.Task[None] | None = None
    async for event in handle.watch():
        attempt = f" (attempt {event.attempt})" if event.attempt > 1 else ""
        error = f"  [yellow]{event.error.code}[/yellow]" if event.error else ""
        console.print(f"  {monotonic() - began:5.2f}s {event.type:30} {event.step_id}{attempt}{error}")
        seen.add((event.type, event.step_id))
        if scene.then is not None and (event.type, event.step_id) == scene.on and disturbance is None:
            await asyncio.sleep(0.3)  # Let the command reach the participant: the kill is to hit in mid-step.
            disturbance = asyncio.create_task(scene.then(shop))  # type: ignore[arg-type]
    wrong = []
    if disturbance is not None:
        await disturbance
    elif scene.then is not None:
        wrong.append(f"{scene.title}: nothing was killed")
    saga = await handle.wait(timeout="60s")
    if saga.state != scene.outcome:
        wrong.append(f"{scene.title}: is {saga.state}, should be {scene.outcome}")
    if scene.proof != ("", "") and scene.proof not in seen:
        wrong.append(f"{scene.title}: {scene.proof} was never seen, so the fault did not strike")
    if scene.then is not None and scene.on[1] == "confirm-order" and not saga.steps[3].proto.resends:
        wrong.append(f"{scene.title}: no command was sent again, so the kill did not hit in mid-step")
    return handle, wrong


def compare_books(folder: Path, outcomes: dict[str, tuple[str, str]]) -> list[str]:
    """What in the participants' databases disagrees with the outcomes (customer -> saga id, outcome)."""

    def rows(database: str, sql: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(folder / f"{database}.db") as db:
            return db.execute(sql).fetchall()

    good = {customer: saga_id for customer, (saga_id, outcome) in outcomes.items() if outcome == "completed"}
    every = {saga_id for saga_id, _ in outcomes.values()}
    expected: list[tuple[str, object, object]] = [
        ("stock", rows("inventory", "select units from stock")[0][0], STOCK - 2 * len(good)),
        (
            "accounts",
            dict(rows("payment", "select customer, cents from account")),  # type: ignore[arg-type]
            {c: cents - 2 * PRICE * (c in good) for c, cents in CUSTOMERS.items()},
        ),
        (
            "charges",
            sorted(rows("payment", "select customer, cents from charge where state = 'taken'")),
            sorted((c, 2 * PRICE) for c in good),
        ),
        (
            "orders",
            dict(rows("orders", "select id, state from orders")),  # type: ignore[arg-type]
            {i: "created" if i in good.values() else "cancelled" for i in every},
        ),
        (
            "letters",
            {i for (i,) in rows("confirmation", "select order_id from letter where state = 'sent'")},
            set(good.values()),
        ),
    ]
    return [f"{what}: {found}, should be {right}" for what, found, right in expected if found != right]


def print_logs(folder: Path) -> None:
    """The end of every process's log."""
    for log in sorted(folder.glob("*.log")):
        console.print(f"--- {log.name}\n{log.read_text()[-3_000:]}", markup=False)


async def main() -> int:
    """Run all scenes; 0 if everything agrees."""
    began = monotonic()
    store, coordinators = os.environ.get("STORE") or "sqlite", int(os.environ.get("COORDINATORS") or 1)
    if store not in ("sqlite", "redis") or (store == "sqlite" and coordinators != 1):
        sys.exit("STORE is sqlite (with one coordinator) or redis")
    with tempfile.TemporaryDirectory(prefix="swit-saga-demo-") as name:
        shop = Shop(Path(name), store, coordinators)
        wrong: list[str] = []
        outcomes: dict[str, tuple[str, str]] = {}
        table = Table("order", "saga", "outcome", "events", "why", title="What became of them")
        try:
            await shop.open()
            ports = ", ".join(str(c.port) for c in shop.coordinators)
            console.print(f"all processes are up; state is in {store}; coordinators on port {ports}")
            async with AsyncSagaClient(shop.target, service="demo") as sagas:
                await sagas.register(ORDER_SAGA)
                for scene in SCENES:
                    handle, failures = await play(scene, shop, sagas)
                    wrong += failures
                    saga = await handle.get()
                    outcomes[scene.customer] = (saga.id, saga.state)
                    why = saga.error.message if saga.error else ""
                    table.add_row(scene.title, saga.id[-8:], saga.state, str(saga.proto.last_sequence), why)
        except BaseException:
            print_logs(shop.folder)
            raise
        finally:
            await shop.close()
        wrong += compare_books(shop.folder, outcomes)
        console.print()
        console.print(table)
        if wrong:
            for line in wrong:
                console.print(f"[red]wrong: {line}[/red]")
            print_logs(shop.folder)
            return 1
        units, cents = STOCK - 2 * 3, sum(CUSTOMERS.values()) - 3 * 2 * PRICE
        console.print(
            f"[green]The books agree:[/green] 3 orders delivered, {units} of {STOCK} units left, "
            f"{cents} of {sum(CUSTOMERS.values())} cents left, nothing lost, nothing taken twice."
            f" ({monotonic() - began:.0f} s)"
        )
        return 0


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # Broken connections are what this is about.
    sys.exit(asyncio.run(main()))
