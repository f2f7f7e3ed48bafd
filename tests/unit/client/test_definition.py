"""``Saga`` and ``Step`` as the protobuf definition."""

from datetime import timedelta

import pytest
from google.protobuf.json_format import MessageToDict

from swit_saga import Compensation, Saga, Step, exponential, fixed, linear, no_retry


@pytest.mark.parametrize(
    "make",
    [
        lambda: Step("a", "p", timeout="soon").to_proto(),
        lambda: Step("a", "p", delay="5").to_proto(),
        lambda: Step("a", "p", compensation=Compensation(timeout="x")).to_proto(),
        lambda: Saga("s", [], timeout="1s1m").to_proto(),
        lambda: fixed("x"),
        lambda: linear("1s", max_delay="x"),
        lambda: exponential("x"),
    ],
)
def test_a_bad_duration_is_refused(make):
    with pytest.raises(ValueError, match="is not a duration"):
        make()


def test_an_unknown_jitter_is_refused_listing_the_known_ones():
    with pytest.raises(ValueError, match="none, full, equal, decorrelated"):
        exponential("1s", jitter="some")


def test_every_option():
    saga = Saga(
        "order",
        name="Order",
        description="An order",
        timeout="30m",
        retry=exponential("1s", multiplier=3, max_delay="20s", max_attempts=7, jitter="equal"),
        compensation_retry=no_retry(),
        metadata={"team": "shop"},
        steps=[
            Step(
                "reserve",
                participant="inventory",
                action="take",
                name="Reserve",
                description="Takes it",
                timeout="15s",
                total_timeout=timedelta(minutes=1),
                delay="500ms",
                retry=linear("1s", max_delay="9s", max_attempts=3),
                compensation=Compensation(timeout="3s", retry=fixed("2s", max_attempts=4)),
                rejected_status_codes=["ABORTED"],
                metadata={"shelf": 7},
            ),
            Step("pay", "payment"),
            Step("mail", "mail", compensation=False),
        ],
    )
    assert MessageToDict(saga.to_proto(), preserving_proto_field_name=True) == {
        "id": "order",
        "name": "Order",
        "description": "An order",
        "timeout": "1800s",
        "metadata": {"team": "shop"},
        "retry_policy": {
            "backoff": "BACKOFF_KIND_EXPONENTIAL",
            "initial_delay": "1s",
            "multiplier": 3.0,
            "max_delay": "20s",
            "max_attempts": 7,
            "jitter": "JITTER_EQUAL",
        },
        "compensation_retry_policy": {
            "backoff": "BACKOFF_KIND_NONE",
            "max_attempts": 1,
            "jitter": "JITTER_NONE",
        },
        "steps": [
            {
                "id": "reserve",
                "name": "Reserve",
                "description": "Takes it",
                "participant": "inventory",
                "action": "take",
                "timeout": "15s",
                "total_timeout": "60s",
                "delay": "0.500s",
                "metadata": {"shelf": 7.0},
                "rejected_status_codes": ["ABORTED"],
                "retry_policy": {
                    "backoff": "BACKOFF_KIND_LINEAR",
                    "initial_delay": "1s",
                    "max_delay": "9s",
                    "max_attempts": 3,
                    "jitter": "JITTER_FULL",
                },
                "compensation": {
                    "timeout": "3s",
                    "retry_policy": {
                        "backoff": "BACKOFF_KIND_FIXED",
                        "initial_delay": "2s",
                        "max_delay": "2s",
                        "max_attempts": 4,
                        "jitter": "JITTER_NONE",
                    },
                },
            },
            {"id": "pay", "participant": "payment"},
            {"id": "mail", "participant": "mail", "compensation": {"disabled": True}},
        ],
    }


def test_what_is_not_said_is_left_to_the_coordinator():
    made = Saga("s", [Step("a", "p")]).to_proto()
    assert {field.name for field, _ in made.ListFields()} == {"id", "steps"}
    assert {field.name for field, _ in made.steps[0].ListFields()} == {"id", "participant"}
