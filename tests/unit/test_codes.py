"""Every code that can stand on a saga, a step or an attempt is explained in docs/errors.md.

A code is a word in capitals between quotation marks, as far as the source shows. So each such word is a code that the
document has, the name of a gRPC status or of an enum, or stands below, where somebody says that it is none.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.protobuf.descriptor import FileDescriptor

from swit_saga.v1 import command_pb2, definition_pb2, error_pb2, saga_pb2

ROOT = Path(__file__).parents[2]
ERRORS = (ROOT / "docs" / "errors.md").read_text()
SERVER, CLIENT = ROOT / "server" / "swit_saga_server", ROOT / "client" / "swit_saga"
FOLDERS = [CLIENT, *(SERVER / name for name in ("core", "engine", "participants", "rpc", "service", "wire"))]
NOT_CODES = {
    "CANNOT_LISTEN": "of a program that cannot serve: no caller sees it",
    "GRPC_VERBOSITY": "a variable of gRPC",
    "HANDLER": "in the text of an error",
    "JSON": "in the text of an error",
    "NONE": "a value of that",
    "NOT_SERVING": "of the health service",
    "RAISE_VARARGS": "Python's byte code",
    "SAGA_KILL_AT": "an environment variable of the crash tests",
    "SERVICE_UNKNOWN": "of the health service",
    "SERVING": "of the health service",
    "TOO_LATE": "in the participant's log only",
    "UNREADABLE_MESSAGE": "between coordinators, in their log only",
}


def documented() -> set[str]:
    """In the tables of what is refused and of what is on record."""
    return set(re.findall(r"`([A-Z][A-Z_]+)`", ERRORS))


def is_exported(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)


def words(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", node.value) and len(node.value) > 3:
                yield node.value
        elif not is_exported(node):
            yield from words(node)


def in_source() -> dict[str, str]:
    """Words in capitals, each with a file where it stands."""
    files = [p for folder in FOLDERS for p in folder.rglob("*.py") if "v1" not in p.parts]
    return {word: p.name for p in files for word in words(ast.parse(p.read_text()))}


def enums(file: FileDescriptor) -> set[str]:
    """The beginnings of their values' names."""
    return {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper() for name in file.enum_types_by_name}


def test_every_code_is_documented():
    statuses = {status.name for status in grpc.StatusCode}
    kinds = set().union(*(enums(m.DESCRIPTOR) for m in (command_pb2, definition_pb2, error_pb2, saga_pb2)))
    found = in_source()
    assert {"RETRY_EXHAUSTED", "EMPTY_ANSWER", "COMPENSATION_FAILED", "OUTPUT_INVALID", "UNKNOWN_ACTION"} <= set(found)
    unexplained = set(found) - documented() - statuses - kinds - set(NOT_CODES)
    assert {word: found[word] for word in sorted(unexplained)} == {}
    assert sorted(set(NOT_CODES) - set(found)) == [], "in the source no more"
    assert sorted(set(NOT_CODES) & documented()) == []
