"""Definitions that were registered before there were bounds: no saga is begun that cannot be lived with."""

import pytest

from swit_saga import InvalidRequestError
from swit_saga_server.core.definition import Definition, StepDefinition
from swit_saga_server.core.limits import MAX_SPAN
from swit_saga_server.core.retry import RetryPolicy
from swit_saga_server.core.units import MILLISECOND, SECOND, Span
from tests.support.rpc.serve import serve

FINE = StepDefinition(id="reserve", participant="shop")
ENDLESS = Span(MAX_SPAN + 1)


@pytest.mark.parametrize(
    ("definition", "field"),
    [
        (Definition(id="old", steps=(FINE,), timeout=ENDLESS), "timeout"),
        (Definition(id="old", steps=(StepDefinition(id="s", participant="shop", delay=ENDLESS),)), "steps[0].delay"),
        (
            Definition(id="old", steps=(FINE,), retry_policy=RetryPolicy(multiplier=1e300)),
            "retry_policy.multiplier",
        ),
        (
            Definition(id="old", steps=(FINE,), retry_policy=RetryPolicy(initial_delay=Span(-5 * SECOND))),
            "retry_policy.initial_delay",
        ),
    ],
)
async def test_such_a_definition_takes_no_new_sagas_and_says_why(tmp_path, definition, field):
    async with serve(tmp_path) as s:
        await s.runtime.engine.store.register(definition, "digest", s.runtime.service.now())
        for _ in range(2):
            with pytest.raises(InvalidRequestError) as refused:
                await s.client.start("old")
            assert [at for at, _ in refused.value.violations] == [field]


async def test_statuses_that_are_no_certain_answer_reject_nothing(tmp_path):
    step = StepDefinition(
        id="reserve", participant="shop", rejected_status_codes=("UNAVAILABLE", "NOT_FOUND", "ABORTED", "NOPE")
    )
    assert step.rejecting_codes == ("NOT_FOUND",)
    old = Definition(id="old", steps=(step,), retry_policy=RetryPolicy(initial_delay=10 * MILLISECOND))
    async with serve(tmp_path) as s:
        await s.runtime.engine.store.register(old, "digest", s.runtime.service.now())
        assert (await (await s.client.start("old", {"n": 1})).wait()).state == "completed"
