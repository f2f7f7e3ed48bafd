"""The payment participant, written by hand on the generated servicer, without the SDK: a plain synchronous gRPC server.

It stands for the system one cannot change. It looks at the balance before it looks whether it has seen the request, so
a repeated charge may be answered INSUFFICIENT_FUNDS though the first attempt took the money. The coordinator knows
that such a rejection proves nothing while an earlier attempt is in doubt, and has the charge undone.
"""

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from examples.order_saga.database import Database
from examples.order_saga.faults import Faults
from examples.order_saga.shop_pb2 import Payment, Reservation
from swit_saga.v1 import command_pb2, error_pb2, participant_service_pb2, participant_service_pb2_grpc, payload_pb2

SCHEMA = "create table if not exists account (customer text primary key, cents integer not null check (cents >= 0))"
CHARGES = "create table if not exists charge (key text primary key, customer text, cents integer, state text)"
CONTENT_TYPE = f"application/x-protobuf; type={Payment.DESCRIPTOR.full_name}"


class PaymentServicer(participant_service_pb2_grpc.ParticipantServiceServicer):
    def __init__(self, folder: Path) -> None:
        self._database, self._faults = Database(folder / "payment.db", SCHEMA), Faults(folder)
        with self._database.transaction() as db:
            db.execute(CHARGES)

    def Execute(
        self, request: participant_service_pb2.ExecuteRequest, context: grpc.ServicerContext
    ) -> participant_service_pb2.ExecuteResponse:
        created = Reservation.FromString(request.input.binary).created
        customer, cents = created.order.customer, created.order.quantity * created.order.price_cents
        key = request.command.idempotency_key
        with self._database.transaction() as db:
            row = db.execute("select cents from account where customer = ?", (customer,)).fetchone()
            if row is None or row[0] < cents:
                error = error_pb2.SagaError(code="INSUFFICIENT_FUNDS", message=f"{customer} has not {cents} cents")
                return participant_service_pb2.ExecuteResponse(rejected=command_pb2.Rejected(error=error))
            # The key is the charge's own: a second one, or one that comes after its refund, does nothing.
            sql = "insert or ignore into charge values (?, ?, ?, 'taken')"
            if db.execute(sql, (key, customer, cents)).rowcount:
                db.execute("update account set cents = cents - ? where customer = ?", (cents, customer))
        if self._faults.strikes("cut-reply"):
            context.cancel()  # The money is taken; nobody hears of it.
        payment = Payment(payment_id=key, order_id=created.order_id, amount_cents=cents)
        output = payload_pb2.Payload(content_type=CONTENT_TYPE, binary=payment.SerializeToString())
        return participant_service_pb2.ExecuteResponse(completed=command_pb2.Completed(output=output))

    def Compensate(
        self, request: participant_service_pb2.CompensateRequest, context: grpc.ServicerContext
    ) -> participant_service_pb2.CompensateResponse:
        key = request.execute_idempotency_key
        with self._database.transaction() as db:
            row = db.execute("select customer, cents, state from charge where key = ?", (key,)).fetchone()
            if row is not None and row[2] == "taken":
                db.execute("update account set cents = cents + ? where customer = ?", (row[1], row[0]))
            # Also when there was no charge: one that comes late finds the key used.
            sql = "insert into charge values (?, '', 0, 'refunded') on conflict (key) do update set state = 'refunded'"
            db.execute(sql, (key,))
        return participant_service_pb2.CompensateResponse(completed=command_pb2.Completed())


def main() -> None:
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    participant_service_pb2_grpc.add_ParticipantServiceServicer_to_server(PaymentServicer(Path(sys.argv[2])), server)
    port = server.add_insecure_port(sys.argv[1])
    server.start()
    print(f"participant payment on port {port}: process-payment", flush=True)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    server.stop(5).wait()


if __name__ == "__main__":
    main()
