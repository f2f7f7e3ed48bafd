"""The orders participant: puts an order on record; cancels it."""

import sqlite3
import sys
from pathlib import Path

from examples.order_saga.database import Database
from examples.order_saga.shop_pb2 import CreatedOrder, Order
from swit_saga import Participant, StepContext

SCHEMA = "create table if not exists orders (id text primary key, customer text, cents integer, state text)"


def make(folder: Path) -> Participant:
    database = Database(folder / "orders.db", SCHEMA)
    orders = Participant("orders")

    @orders.step("create-order")
    def create(order: Order, step: StepContext) -> CreatedOrder:
        def effect(db: sqlite3.Connection) -> bytes:
            cents = order.quantity * order.price_cents
            db.execute("insert into orders values (?, ?, ?, 'created')", (step.saga_id, order.customer, cents))
            return CreatedOrder(order_id=step.saga_id, order=order).SerializeToString()

        return CreatedOrder.FromString(database.once(step.key, effect))

    @create.compensate
    def cancel(order: Order, created: CreatedOrder | None, step: StepContext) -> None:
        database.undo(
            step.execute_key,
            lambda db: db.execute("update orders set state = 'cancelled' where id = ?", (step.saga_id,)),
        )

    return orders


if __name__ == "__main__":
    make(Path(sys.argv[2])).run(listen=sys.argv[1])
