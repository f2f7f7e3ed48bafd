"""An embedded coordinator, made in ways that newcomers try."""

from typing import Any

import pytest

from swit_saga import Participant
from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator


def named(name: str) -> Participant:
    made = Participant(name)

    @made.step("sell")
    def sell() -> None: ...

    return made


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a dict": ({"config": {"storage": {}}}, TypeError, r"config must be a SagaConfig, not dict; .*SagaConfig\.load"),
    "one participant": ({"participants": named("shop")}, TypeError, "participants must be a list of participants"),
    "names": ({"participants": ["shop"]}, TypeError, "a str is no participant"),
    "twins": ({"participants": [named("shop"), named("shop")]}, ValueError, "two participants are called 'shop'"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_opened_is_said_by_name(case, tmp_path):
    given, kind, says = WRONG[case]
    config = SagaConfig.load(overrides={"storage": {"connection": str(tmp_path / "saga.db")}})
    with pytest.raises(kind, match=says):
        async with Coordinator.open(**{"config": config, **given}):
            pass
