"""The confirmation participant: writes the customer a letter; takes it back."""

import sqlite3
import sys
import time
from pathlib import Path

from examples.order_saga.database import Database
from examples.order_saga.faults import Faults
from examples.order_saga.shop_pb2 import Confirmation, Payment
from swit_saga import Participant, StepContext

SCHEMA = "create table if not exists letter (order_id text primary key, state text not null)"


def make(folder: Path) -> Participant:
    database, faults = Database(folder / "confirmation.db", SCHEMA), Faults(folder)
    confirmation = Participant("confirmation")

    @confirmation.step("confirm-order")
    def confirm(payment: Payment, step: StepContext) -> Confirmation:
        if faults.strikes("slow"):
            time.sleep(1.5)  # Long enough to kill the coordinator meanwhile.

        def effect(db: sqlite3.Connection) -> bytes:
            db.execute("insert into letter values (?, 'sent')", (payment.order_id,))
            return Confirmation(order_id=payment.order_id, payment_id=payment.payment_id).SerializeToString()

        return Confirmation.FromString(database.once(step.key, effect))

    @confirm.compensate
    def apologise(payment: Payment, confirmed: Confirmation | None, step: StepContext) -> None:
        sql = "update letter set state = 'taken back' where order_id = ?"
        database.undo(step.execute_key, lambda db: db.execute(sql, (payment.order_id,)))

    return confirmation


if __name__ == "__main__":
    make(Path(sys.argv[2])).run(listen=sys.argv[1])
