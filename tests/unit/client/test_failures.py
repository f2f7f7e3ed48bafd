"""An exception is described whatever its own code does."""

from swit_saga.participant.failures import describe, trace_of


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_that_cannot_be_shown_is_described() -> None:
    assert describe(Mute()) == "Mute: (its text cannot be had: RuntimeError)"
    assert describe(KeyError("a")) == "KeyError: 'a'"
    assert describe(ValueError("\ud800")) == "ValueError: \ud800"
    assert "Mute" in trace_of(Mute())
