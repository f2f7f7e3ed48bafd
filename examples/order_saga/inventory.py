"""The inventory participant: puts goods aside; puts them back."""

import sqlite3
import sys
import time
from pathlib import Path

from examples.order_saga.database import Database
from examples.order_saga.faults import Faults
from examples.order_saga.shop_pb2 import CreatedOrder, Reservation
from swit_saga import Participant, Reject, StepContext

SCHEMA = "create table if not exists stock (product text primary key, units integer not null check (units >= 0))"


def make(folder: Path) -> Participant:
    database, faults = Database(folder / "inventory.db", SCHEMA), Faults(folder)
    inventory = Participant("inventory")

    @inventory.step("reserve-inventory")
    def reserve(created: CreatedOrder, step: StepContext) -> Reservation:
        if faults.strikes("hang"):
            time.sleep(60)  # Until somebody kills this process.
        order = created.order

        def effect(db: sqlite3.Connection) -> bytes:
            sql = "update stock set units = units - ? where product = ? and units >= ?"
            if not db.execute(sql, (order.quantity, order.product, order.quantity)).rowcount:
                raise Reject("OUT_OF_STOCK", f"fewer than {order.quantity} of {order.product} are left")
            return Reservation(reservation_id=step.key, created=created).SerializeToString()

        return Reservation.FromString(database.once(step.key, effect))

    @reserve.compensate
    def release(created: CreatedOrder, reservation: Reservation | None, step: StepContext) -> None:
        order = created.order
        sql = "update stock set units = units + ? where product = ?"
        database.undo(step.execute_key, lambda db: db.execute(sql, (order.quantity, order.product)))

    return inventory


if __name__ == "__main__":
    make(Path(sys.argv[2])).run(listen=sys.argv[1])
