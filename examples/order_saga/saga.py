"""The order saga's definition."""

from swit_saga import Saga, Step, exponential

# Short times, so that the demo's failures are over in seconds; tries enough for a participant that a busy machine takes
# ten seconds to bring back.
RETRY = exponential("200ms", max_delay="1s", max_attempts=20)

ORDER_SAGA = Saga(
    "order-processing",
    name="Order processing",
    description="Processes customer orders with inventory and payment",
    timeout="2m",
    retry=RETRY,
    steps=[
        Step("create-order", "orders", timeout="3s"),
        Step("reserve-inventory", "inventory", timeout="3s"),
        Step("process-payment", "payment", timeout="3s"),
        Step("confirm-order", "confirmation", timeout="3s"),
    ],
)
