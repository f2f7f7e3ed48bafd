"""A line that cannot be written costs the line. Where nobody set logs up, a program's own ``logging`` decides."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from swit_saga_server.config import SagaConfig
from swit_saga_server.coordinator import Coordinator
from swit_saga_server.logs import get_logger, set_up_logs
from swit_saga_server.logs.output import Output
from tests.support.logs import logged

ROOT = Path(__file__).parents[3] / "server" / "swit_saga_server"


class Broken(logging.Handler):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def emit(self, record: logging.LogRecord) -> None:
        raise self.error


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@pytest.fixture(autouse=True)
def as_before():
    loggers = [logging.getLogger(), logging.getLogger("swit_saga_server")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(), OSError(28, "No space left"), ValueError("I/O on closed file"), RecursionError(),
     UnicodeEncodeError("ascii", "x", 0, 1, "no"), RuntimeError("a handler of the program's")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["debug", "info", "warning", "error", "critical", "exception"])
def test_a_handler_that_raises_costs_the_line(error, method):
    log, logger = get_logger("swit_saga_server.test"), logging.getLogger("swit_saga_server")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(Broken(error))
    getattr(log, method)("happened", saga_id="s-1")
    getattr(log, method)("happened", saga_id=Unspeakable())


def test_so_does_a_filter_that_raises():
    log, logger = get_logger("swit_saga_server.test"), logging.getLogger("swit_saga_server.test")

    def broken(record: logging.LogRecord) -> bool:
        raise KeyError("x")

    logger.addFilter(broken)
    log.warning("happened")
    logger.removeFilter(broken)


def test_a_record_has_the_event_and_the_fields():
    with logged() as lines:
        get_logger("swit_saga_server.test").warning("happened", saga_id="s 1", n=3, text="a\n\x1b[31m=")
    assert lines == [
        {"event": "happened", "level": "warning", "exception": None, "saga_id": "s 1", "n": 3, "text": "a\n\x1b[31m="}
    ]


def read(lines: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines.decode().splitlines()]


@pytest.mark.parametrize("pretty", [False, True])
def test_lines_of_a_process_of_our_own(tmp_path, pretty):
    fd = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    set_up_logs("info", pretty=pretty, fd=fd)
    log = get_logger("swit_saga_server.test")
    log.info("happened", saga_id="s-1", text="lone \udcff, \x1b[31mred\nnext", unspeakable=Unspeakable())
    log.info("happened", saga_id="s-2", text="lone \udcff, \x1b[31mred\nnext")
    log.debug("not")
    secret = {"card": "4711"}
    try:
        raise KeyError("lost")
    except KeyError:
        log.exception("failed")
    logging.getLogger("some.library").error("of %s", "theirs")
    logging.getLogger("some.library").info("not")
    os.close(fd)
    written = (tmp_path / "log").read_bytes()
    assert b"s-2" in written
    assert b"KeyError" in written
    assert b"of theirs" in written
    assert b"\x1b[31m" not in written
    assert b"4711" not in written, secret
    if not pretty:
        second, failed, theirs, *rest = read(written)
        assert (second["event"], second["level"], second["saga_id"]) == ("happened", "info", "s-2")
        assert (failed["event"], failed["level"]) == ("failed", "error")
        assert (theirs["event"], theirs["logger"]) == ("of theirs", "some.library")
        assert rest == []


def test_a_library_that_floods_is_folded(tmp_path):
    fd = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    set_up_logs("info", pretty=False, fd=fd)
    for n in range(1000):
        logging.getLogger("grpc").error("stream %s broke", n)
    os.close(fd)
    assert len(read((tmp_path / "log").read_bytes())) < 50


def test_a_reader_that_does_not_read_is_not_waited_for():
    reader, writer = os.pipe()
    output = Output(writer)
    for _ in range(100):
        output.write("x" * 9000)
    assert output.lost > 50
    os.set_blocking(reader, False)
    assert len(os.read(reader, 1 << 20)) <= 1 << 16
    output.write("after")
    assert output.lost == 0
    first, second, third = os.read(reader, 1 << 20).decode().splitlines()
    assert (first, third) == ("", "after"), "what was torn ends before the next line"
    assert json.loads(second)["lines"] > 50
    os.close(reader)
    output.write("nobody")
    assert output.lost == 1
    os.close(writer)
    output.write("closed")
    assert output.lost == 2


def test_a_full_disk_costs_the_line():
    with Path("/dev/full").open("wb") as full:
        output = Output(full.fileno())
        output.write("x")
        assert output.lost == 1


PROGRAM = """
import logging, sys
from swit_saga_server.logs import get_logger, set_level
{set_up}
log = get_logger("swit_saga_server.engine.deciding")
def decide(payload):
    raise TypeError("a bug")
for n in range(200):
    try:
        decide({{"card": "4711" * 100}})
    except TypeError as bug:
        log.error("saga_quarantined", fold_by=type(bug), saga_id=f"s-{{n}}", exc_info=bug)
log.info("chatter")
"""


@pytest.mark.parametrize(
    ("set_up", "lines"),
    [
        ("", range(5, 15)),
        ("set_level('error')", range(5, 15)),
        ("set_level('critical')", range(1)),
        ("logging.basicConfig(level='INFO')", range(6, 15)),
        ("logging.getLogger('swit_saga_server').addHandler(logging.NullHandler())", range(1)),
        ("import os; os.close(2)", range(1)),
        ("sys.stderr = None", range(1)),
    ],
)
def test_embedded(set_up, lines):
    """Without anything set up: what is wrong on standard error, once, without locals. Else what the program says."""
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(set_up=set_up)], capture_output=True, timeout=20, check=False
    )
    assert (made.returncode, made.stdout) == (0, b""), made.stderr.decode()
    assert len(made.stderr.splitlines()) in lines, made.stderr.decode()
    assert b"4711" not in made.stderr


@pytest.mark.parametrize(("logging_", "level"), [({}, logging.NOTSET), ({"level": "error"}, logging.ERROR)])
async def test_the_level_of_the_configuration_holds_for_an_embedded_coordinator(tmp_path, logging_, level):
    logger = logging.getLogger("swit_saga_server")
    logger.setLevel(logging.NOTSET)
    config = {"storage": {"connection": str(tmp_path / "saga.db")}, "logging": logging_}
    async with Coordinator.open(SagaConfig.load(overrides=config)):
        assert logger.level == level


def test_all_log_this_way():
    """structlog's own default prints tracebacks with the values of all locals, on standard output."""
    for path in ROOT.rglob("*.py"):
        if path.parent.name != "logs":
            assert not re.search(r"\bstructlog\b|\blogging\.getLogger\b|\bimport logging\b", path.read_text()), path
