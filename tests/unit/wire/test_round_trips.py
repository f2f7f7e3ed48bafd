"""What goes out and comes back is the same, for everything that goes both ways."""

from hypothesis import given
from hypothesis import strategies as st

from swit_saga_server.core.definition import CompensationDefinition, Definition, StepDefinition
from swit_saga_server.core.errors import ErrorType, SagaError
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.retry import Backoff, Jitter, RetryPolicy
from swit_saga_server.core.states import SagaState
from swit_saga_server.core.units import Span
from swit_saga_server.store.contract import StoredDefinition
from swit_saga_server.wire import basic
from swit_saga_server.wire.definition import definition, read_definition, read_retry_policy, retry_policy
from swit_saga_server.wire.foreign_error import read_error
from swit_saga_server.wire.saga import read_state, state

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# Up to what a proto Duration and Timestamp hold: about 10,000 years.
spans = st.integers(1, 315_576_000_000 * 1_000_000)
instants = st.integers(1, 253_402_300_799 * 1_000_000)
# Whole numbers come back as floats, which are equal; beyond 2**53 they would not be.
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
mappings = st.dictionaries(text, json, max_size=3)
policies = st.builds(
    RetryPolicy,
    backoff=st.sampled_from(Backoff),
    initial_delay=spans | st.just(0),
    max_delay=spans | st.just(0),
    multiplier=st.floats(1, 1000),
    max_attempts=st.integers(1, 2**32 - 1),
    jitter=st.sampled_from(Jitter),
)
maybe_policy, maybe_span = st.none() | policies, st.none() | spans
steps = st.builds(
    StepDefinition,
    id=text,
    name=text,
    description=text,
    participant=text,
    action=text,
    timeout=maybe_span,
    total_timeout=maybe_span,
    delay=spans | st.just(0),
    retry_policy=maybe_policy,
    compensation=st.builds(
        CompensationDefinition, disabled=st.booleans(), timeout=maybe_span, retry_policy=maybe_policy
    ),
    rejected_status_codes=st.lists(text, max_size=2).map(tuple),
    metadata=mappings,
)
# The other strategies are refused on the way in: test_coverage.
definitions = st.builds(
    Definition,
    id=text,
    name=text,
    description=text,
    steps=st.lists(steps, max_size=3).map(tuple),
    timeout=maybe_span,
    retry_policy=maybe_policy,
    compensation_retry_policy=maybe_policy,
    metadata=mappings,
)
causes = st.none() | st.builds(
    SagaError, code=st.just("C"), message=text, type=st.sampled_from(ErrorType), timestamp=instants
)
errors = st.builds(
    SagaError,
    code=text.filter(lambda code: code and code.isprintable()),
    message=text,
    type=st.sampled_from(ErrorType),
    retryable=st.booleans(),
    timestamp=instants,
    stack_trace=text,
    details=mappings,
    cause=causes,
)


@given(definitions)
def test_definition(made):
    assert read_definition(definition(made)) == made


@given(definitions, st.integers(1, 2**32 - 1), text, st.booleans(), instants)
def test_a_stored_definition_can_be_sent_back(made, version, digest, disabled, at):
    stored = StoredDefinition(definition=made, version=version, digest=digest, disabled=disabled, registered_at=at)
    proto = definition(stored)
    assert (proto.version, proto.digest, proto.disabled) == (version, digest, disabled)
    assert basic.instant(proto.registered_at) == at
    assert read_definition(proto) == made


@given(policies)
def test_retry_policy(made):
    proto = retry_policy(made)
    assert proto is not None
    assert read_retry_policy(proto, "retry_policy") == made


@given(errors)
def test_error(made):
    proto = basic.error(made)
    assert proto is not None
    assert read_error(proto, ErrorType.BUSINESS) == made


@given(st.builds(Payload, text, text | st.binary(max_size=20)))
def test_payload(made):
    proto = basic.payload(made)
    assert proto is not None
    assert basic.read_payload(proto) == made


@given(spans, instants, mappings.filter(bool))
def test_times_and_values(span, instant, values):
    duration, timestamp, struct = basic.duration(span), basic.timestamp(instant), basic.struct(values)
    assert duration is not None
    assert timestamp is not None
    assert struct is not None
    assert basic.span(duration) == span
    assert basic.instant(timestamp) == instant
    assert basic.mapping(struct) == values


def test_less_than_a_microsecond_is_not_nothing():
    duration = basic.duration(Span(1))
    assert duration is not None
    duration.nanos = 1
    assert basic.span(duration) == 1


def test_states():
    assert [read_state(state(s)) for s in SagaState] == list(SagaState)
