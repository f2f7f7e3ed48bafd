"""Whole systems whose coordinators may have few commands open: everything still ends, and no invariant suffers."""

import pytest

from swit_saga_server.engine.concurrency import ConcurrencyLimiter
from swit_saga_server.engine.options import EngineOptions
from tests.support.simulation import coordinators
from tests.support.simulation.sweep import sweep


@pytest.mark.parametrize(
    "limits", [{"max_steps": 1}, {"max_steps": 2}, {"max_steps_of": {"p0": 1, "p1": 1}}], ids=["one", "two", "each"]
)
def test_worlds_with_little_room(monkeypatch, limits):
    called = 0
    call = ConcurrencyLimiter.call

    def counted(limiter: ConcurrencyLimiter) -> str | None:
        nonlocal called
        found = call(limiter)
        called += found is not None
        return found

    monkeypatch.setattr(ConcurrencyLimiter, "call", counted)
    monkeypatch.setattr(coordinators, "EngineOptions", lambda **options: EngineOptions(**options, **limits))
    assert sweep(range(150)).failed == {}
    assert called >= 10, "hardly anybody had to wait"
