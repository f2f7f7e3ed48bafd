"""Random definitions and random histories: the invariants hold after every step, and every saga can come to an end."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swit_saga_server.core import agenda
from swit_saga_server.core.definition import CompensationDefinition, Definition, StepDefinition, retry_violations
from swit_saga_server.core.errors import SagaAlreadyFinished
from swit_saga_server.core.identity import Kind
from swit_saga_server.core.inputs import Answered, Cancel, Completed, Input, TakenOver, Wake
from swit_saga_server.core.limits import MAX_ATTEMPTS, MAX_MULTIPLIER, MAX_SPAN
from swit_saga_server.core.model import Saga, Settings
from swit_saga_server.core.record import evolve
from swit_saga_server.core.retry import Backoff, Jitter, RetryPolicy, delay_after
from swit_saga_server.core.units import MICROSECOND, MILLISECOND, MINUTE, NO_TIME, SECOND, Span
from tests.support.core.drive import Driven, done, lost, no, sent, unusable

policies = st.builds(
    RetryPolicy,
    backoff=st.sampled_from(Backoff),
    initial_delay=st.integers(0, 2 * SECOND),
    max_delay=st.integers(2 * SECOND, 5 * SECOND),
    max_attempts=st.integers(1, 4),
    jitter=st.sampled_from(Jitter),
)
steps = st.builds(
    lambda timeout, total, delay, retry, disabled: StepDefinition(
        id="?",
        participant="p",
        timeout=timeout,
        total_timeout=total,
        delay=delay,
        retry_policy=retry,
        compensation=CompensationDefinition(disabled=disabled),
    ),
    st.integers(1, 20 * SECOND),
    st.none() | st.integers(1, 30 * SECOND),
    st.sampled_from([0, 0, SECOND]),
    st.none() | policies,
    st.booleans(),
)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    from dataclasses import replace

    drawn = draw(st.lists(steps, min_size=1, max_size=4))
    return Definition(id="d", steps=tuple(replace(s, id=f"s{i}") for i, s in enumerate(drawn)))


defaults = st.builds(
    Settings, timeout=st.integers(1, 5 * MINUTE), step_timeout=st.just(10 * SECOND), retry_policy=policies,
    compensation_retry_policy=policies,
)  # fmt: skip
answers = st.sampled_from([done(), done(), no(), lost(), lost(retryable=False), unusable()])
inputs = st.one_of(
    st.just(Wake()),
    st.just(TakenOver()),
    st.just(Cancel("x")),
    st.builds(Answered, st.sampled_from(Kind), st.integers(0, 3), st.builds(sent, st.integers(0, 4)), answers),
)
histories = st.lists(
    st.tuples(inputs, st.sampled_from([NO_TIME, MICROSECOND, MILLISECOND, SECOND, 13 * SECOND])), max_size=30
)


def give(s: Driven, given: Input, after: Span) -> None:
    if isinstance(given, Answered) and given.step_index >= len(s.saga.steps):
        return
    try:
        s.give(given, after)
    except SagaAlreadyFinished:
        assert isinstance(given, Cancel)


def play(definition: Definition, settings_: Settings, history: list[tuple[Input, Span]]) -> Driven:
    """A saga through a history; ``Driven`` checks every transition."""
    s = Driven(definition, settings=settings_)
    for what, after in history:
        give(s, what, after)
    return s


@settings(max_examples=400, deadline=None)
@given(definitions(), defaults, histories)
def test_invariants_hold_whatever_happens(definition, settings_, history):
    play(definition, settings_, history)


def finish(s: Driven) -> None:
    """Answer what is out and let time pass until the outcome; it must come, and no wake-up may find nothing to do."""
    for _ in range(400):
        if s.saga.state.is_terminal:
            return
        out = [
            (kind, step.index, call.send_id)
            for step in s.saga.steps
            for kind, call in (
                (Kind.EXECUTE, step.call),
                (Kind.COMPENSATE, step.compensation.call if step.compensation else None),
            )
            if call is not None and call.in_flight
        ]
        if out:
            kind, index, send_id = out[0]
            s.give(Answered(kind, index, send_id, Completed()), MICROSECOND)
            continue
        due, before = agenda.due_at(s.saga), s.saga
        assert due > 0, "invariant 14: never due"
        s.now = max(s.now, due)
        s.give(Wake())
        assert s.saga is not before, f"due at {due}, and nothing to do: {s.saga}"
    raise AssertionError(f"no outcome: {s.saga}")


@settings(max_examples=400, deadline=None)
@given(definitions(), defaults, histories)
def test_every_saga_can_come_to_an_end(definition, settings_, history):
    s = play(definition, settings_, history)
    finish(s)
    assert agenda.due_at(s.saga) == 0


@settings(max_examples=200, deadline=None)
@given(definitions(), defaults, histories)
def test_a_wake_up_too_many_does_no_harm(definition, settings_, history):
    s = play(definition, settings_, history)
    s.give(Wake())
    before: Saga = s.saga
    assert s.give(Wake()).saga is before


@settings(max_examples=200, deadline=None)
@given(definitions(), defaults, histories)
def test_silent_participants_do_not_strand_a_saga(definition, settings_, history):
    """Only time passes: still every saga comes to an outcome (perhaps failed, which is visible)."""
    s = play(definition, settings_, history)
    for _ in range(600):
        if s.saga.state.is_terminal:
            return
        before = s.saga
        s.wake()
        assert s.saga is not before
    raise AssertionError("no outcome")


@given(policies, st.integers(1, 1_000), st.integers(0, 10 * SECOND), st.floats(0, 1, exclude_max=True))
def test_delays_stay_within_their_cap(policy, failed, previous, chance):
    delay = delay_after(policy, failed, previous, chance)
    assert 0 <= delay <= policy.max_delay
    if policy.jitter is Jitter.NONE and policy.backoff is Backoff.FIXED:
        assert delay == min(policy.initial_delay, policy.max_delay)


@given(
    st.builds(
        RetryPolicy,
        backoff=st.sampled_from(Backoff),
        initial_delay=st.integers(0, MAX_SPAN),
        max_delay=st.integers(0, MAX_SPAN),
        multiplier=st.floats(1, MAX_MULTIPLIER),
        max_attempts=st.integers(1, MAX_ATTEMPTS),
        jitter=st.sampled_from(Jitter),
    ),
    st.integers(1, MAX_ATTEMPTS),
    st.integers(0, MAX_SPAN),
    st.floats(0, 1, exclude_max=True),
)
@example(RetryPolicy(multiplier=1_000.0), 1_000_000, NO_TIME, 0.5)
@example(RetryPolicy(initial_delay=NO_TIME, multiplier=1_000.0), 1_000_000, NO_TIME, 0.5)
def test_every_policy_that_is_let_in_has_a_delay_after_every_attempt(policy, failed, previous, chance):
    policy = evolve(policy, max_delay=max(policy.initial_delay, policy.max_delay))
    assert not [*retry_violations(policy)]
    assert 0 <= delay_after(policy, failed, previous, chance) <= policy.max_delay
    if not policy.initial_delay and policy.jitter is not Jitter.DECORRELATED:
        assert delay_after(policy, failed, previous, chance) == 0


@given(
    st.builds(
        RetryPolicy,
        backoff=st.sampled_from(Backoff),
        initial_delay=st.integers(-(2**63), 2**63),
        max_delay=st.integers(-(2**63), 2**63),
        multiplier=st.floats(),
        jitter=st.sampled_from(Jitter),
    ),
    st.integers(1, 2**32),
    st.integers(0, MAX_SPAN),
    st.floats(0, 1, exclude_max=True),
)
@example(RetryPolicy(multiplier=1e300), 3, NO_TIME, 0.5)
@example(RetryPolicy(multiplier=math.nan), 2, NO_TIME, 0.5)
@example(RetryPolicy(multiplier=-2.0, initial_delay=Span(-5)), 2, NO_TIME, 0.5)
def test_so_has_one_that_was_kept_before_there_were_bounds(policy, failed, previous, chance):
    assert 0 <= delay_after(policy, failed, previous, chance) <= MAX_SPAN


def test_slow_growth_goes_on_for_as_long_as_it_takes():
    slow = RetryPolicy(initial_delay=SECOND, max_delay=MAX_SPAN, multiplier=1.01, jitter=Jitter.NONE)
    assert delay_after(slow, 1_001, NO_TIME, 0.0) == pytest.approx(1.01**1_000 * SECOND)
