"""One catalogue of errors: total, with details, and as the documentation says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.rpc import error_details_pb2
from google.rpc.code_pb2 import Code

from swit_saga_server.core import errors
from swit_saga_server.rpc.errors import CATALOGUE, DOMAIN, to_status

DOCUMENT = Path(__file__).parents[3] / "docs" / "errors.md"
VIOLATIONS = (errors.Violation("steps[1].timeout", "must be greater than 0"),)


def _below(root: type[errors.SwitSagaError]) -> Iterator[type[errors.SwitSagaError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _below(kind)


KINDS = [k for k in _below(errors.SwitSagaError) if k.__module__ == errors.__name__]


def _details(error: Exception, kind: Any) -> Any:
    found = kind()
    return next((found for d in to_status(error).details if d.Unpack(found)), None)


def test_every_error_has_a_row():
    assert set(CATALOGUE) == set(KINDS)


def test_every_reason_is_its_own():
    reasons = [k.reason for k in KINDS]
    assert len(set(reasons)) == len(reasons)
    assert all(re.fullmatch(r"[A-Z][A-Z_]*[A-Z]", r) for r in reasons)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_status_and_details(kind):
    invalid = issubclass(kind, errors.InvalidRequest)
    error = kind(VIOLATIONS) if invalid else kind("text", saga_id="o-1", resume_after=7)
    status = to_status(error)
    assert status.code == CATALOGUE[kind] != Code.OK
    assert status.message == ("steps[1].timeout: must be greater than 0" if invalid else "text")
    info = _details(error, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (kind.reason, DOMAIN)
    assert dict(info.metadata) == ({} if invalid else {"saga_id": "o-1", "resume_after": "7"})
    bad = _details(error, error_details_pb2.BadRequest)
    assert (bad is not None) == invalid
    if bad is not None:
        assert [(v.field, v.description) for v in bad.field_violations] == [
            ("steps[1].timeout", "must be greater than 0")
        ]
    retry = _details(error, error_details_pb2.RetryInfo)
    assert (retry is not None) == (status.code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED))


def test_an_error_without_a_message_says_what_its_class_says():
    assert to_status(errors.SagaNotFound()).message == "There is no saga with this id."


def test_a_message_that_is_no_utf_8_is_spelled_out():
    """The name of a file may be none."""
    assert to_status(errors.StoreUnavailable("cannot write \udcff.db")).message == "cannot write \\udcff.db"


def test_what_was_not_raised_on_purpose_says_nothing():
    status = to_status(KeyError("the customer's card number"))
    assert status.code == Code.INTERNAL
    assert "card" not in str(status)
    (info,) = status.details
    assert info.value == error_details_pb2.ErrorInfo(reason="INTERNAL", domain="swit-saga").SerializeToString()


def test_the_document_has_the_catalogue():
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([A-Z_]+) \|", DOCUMENT.read_text(), re.M))
    assert rows == {k.reason: Code.Name(code) for k, code in CATALOGUE.items()}


def test_a_status_is_small_enough_for_every_peer():
    """Between 8 KiB and its hard limit gRPC refuses headers by chance."""
    violations = tuple(errors.Violation(f"steps[{n}].timeout", "ü" * 400) for n in range(500))
    status = to_status(errors.InvalidDefinition(violations))
    assert 3 * len(status.message.encode()) + 4 * status.ByteSize() // 3 < 7_500
    bad_request = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad_request)
    shown = len(bad_request.field_violations) - 1
    assert bad_request.field_violations[shown].description == f"and at least {500 - shown} more"
    assert shown >= 2
