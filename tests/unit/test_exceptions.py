"""Every exception of both packages goes through pickle, copy and a process pool, with all it says."""

import copy
import importlib
import inspect
import pickle
import pkgutil
import re
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import grpc
import pytest

import swit_saga
import swit_saga_server
from swit_saga import CodecError, Codecs, Payload, Reject, SagaCompensated, SagaView
from swit_saga.v1 import saga_pb2
from swit_saga_server.core.errors import InvalidRequest, Violation
from tests.support.raising import raise_it


def found() -> list[type[BaseException]]:
    """All that are defined anywhere, those of no use outside included: they go through the same pools."""
    kinds: dict[str, type[BaseException]] = {}
    for package in (swit_saga, swit_saga_server):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__") and "conformance" not in module.name:
                for kind in vars(importlib.import_module(module.name)).values():
                    if inspect.isclass(kind) and issubclass(kind, BaseException) and kind.__module__ == module.name:
                        kinds[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return [kinds[name] for name in sorted(kinds)]


KINDS = found()
SAGA = SagaView(
    saga_pb2.Saga(id="o-1", state=saga_pb2.SAGA_STATE_COMPENSATED, result_data=Payload(content_type="a/b", text="x")),
    Codecs(),
)
BY_ANNOTATION: dict[str, Any] = {
    "SagaView": SAGA,
    "StatusCode": grpc.StatusCode.ABORTED,
    "tuple[Violation, ...]": (Violation("a", "b"),),
    "Iterable[tuple[str, str]]": [("a", "b")],
    "Mapping": {"a": "b"},
    "CallError": swit_saga.UnavailableError("gone", reason="X", retry_after_s=1.5),
    "BaseException": SystemExit(3),
    "type": "data",
    "float": 1.5,
    "int": 7,
    "str": "text",
    "Any": "anything",
}


def value_for(parameter: inspect.Parameter) -> Any:
    annotation = re.sub(r"[a-z_.]+\.(?=[A-Z])", "", inspect.formatannotation(parameter.annotation))
    if parameter.name == "type":
        return "data"
    for name, value in BY_ANNOTATION.items():
        if name in annotation:
            return value
    raise AssertionError(f"say what a {annotation} of {parameter.name!r} may be")


def made(kind: type[BaseException]) -> BaseException:
    """One with something in every field."""
    given: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in list(inspect.signature(kind.__init__).parameters.values())[1:]:
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            given.append("text")
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            if kind.__init__ is not Exception.__init__ and not issubclass(kind, (ValueError, OSError)):
                named["saga_id"] = "o-1"
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            named[parameter.name] = value_for(parameter)
        else:
            given.append(value_for(parameter))
    try:
        return kind(*given, **named)
    except TypeError:
        return kind(*given)


def told(error: BaseException) -> Any:
    """What there is to be known of it; messages by their bytes, exceptions by what is known of them."""

    def plain(value: Any) -> Any:
        if isinstance(value, BaseException):
            return told(value)
        if isinstance(value, SagaView):
            return value.proto.SerializeToString(deterministic=True)
        return value

    return type(error), str(error), error.args, {name: plain(value) for name, value in vars(error).items()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__qualname__)
def test_by_pickle_and_copy(kind):
    error = made(kind)
    error.add_note("a note")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert told(pickle.loads(pickle.dumps(error, protocol))) == told(error)
    assert told(copy.copy(error)) == told(error)
    assert told(copy.deepcopy(error)) == told(error)


def test_they_are_all_there():
    names = {kind.__qualname__ for kind in KINDS}
    public = {name for name in swit_saga.__all__ if inspect.isclass(getattr(swit_saga, name))}
    public = {name for name in public if issubclass(getattr(swit_saga, name), BaseException)}
    assert public <= names
    assert {"SagaCompensated", "Reject", "StoreRefused", "CallFailed", "ConfigError"} <= names


def test_through_a_process_pool():
    names = {"SagaCompensated", "UnavailableError", "Reject", "ClientClosed", "InvalidRequest", "CodecError"}
    # Not forked: this process may have threads.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for error in (made(kind) for kind in KINDS if kind.__qualname__ in names):
            with pytest.raises(type(error)) as failed:
                pool.submit(raise_it, error).result(60)
            assert told(failed.value) == told(error)


class Locked:
    """A hook with what cannot be pickled, as a key in use may be."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def wrap(self, payload: Payload) -> Payload:
        return payload

    def unwrap(self, payload: Payload) -> Payload:
        return payload


def test_codecs_that_cannot_be_pickled_are_left_behind_and_say_so():
    codecs = Codecs(hooks=[Locked()])
    saga = SagaView(saga_pb2.Saga(id="o-1", result_data=codecs.encode({"a": 1})), codecs)
    assert copy.deepcopy(SagaCompensated(saga)).saga.result_data() == {"a": 1}
    there = pickle.loads(pickle.dumps(SagaCompensated(saga))).saga
    assert there.id == "o-1"
    with pytest.raises(CodecError, match="could not be pickled"):
        there.result_data()
    assert pickle.loads(pickle.dumps(Codecs())).decode(codecs.encode({"a": 1})) == {"a": 1}


def test_a_reject_with_what_cannot_be_pickled():
    there = pickle.loads(pickle.dumps(Reject("NO", "none", details={"lock": threading.Lock(), "a": 1})))
    assert (there.code, there.message, there.details["a"]) == ("NO", "none", 1)
    assert "lock" in there.details["lock"]


def test_violations_go_along():
    there = pickle.loads(pickle.dumps(InvalidRequest((Violation("steps[1]", "is none"),))))
    assert (str(there), there.violations) == ("steps[1]: is none", (Violation("steps[1]", "is none"),))
