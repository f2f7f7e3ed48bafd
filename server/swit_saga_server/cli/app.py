"""The commands, their options and their help.

What only ``serve`` and ``dev`` need is imported by them: the other commands are short, and the server is not.
"""

from enum import StrEnum
from importlib.metadata import version
from typing import Annotated

import typer

from swit_saga_server.cli import talk
from swit_saga_server.cli.address import coordinator_address
from swit_saga_server.cli.applying import apply
from swit_saga_server.cli.definition_file import read_definitions
from swit_saga_server.cli.exits import Exit
from swit_saga_server.cli.inputs import read_data, read_text, some_time
from swit_saga_server.cli.reaching import Way, run
from swit_saga_server.cli.screen import say

HELP = "The swit-saga command: 'serve' and 'dev' run a coordinator, the rest talks to one."
# Plain help and messages: what is typed or sent is never taken as markup.
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)
definitions = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Saga definitions.")
app.add_typer(definitions, name="definitions")


class StateName(StrEnum):
    """The states of a saga, as they are typed; a test holds them to the contract's."""

    PENDING = "pending"
    RUNNING = "running"
    STEP_COMPLETED = "step_completed"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


Address = Annotated[
    str,
    typer.Option("--address", envvar="SWIT_SAGA_ADDRESS", metavar="HOST:PORT", help="The coordinator."),
]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="DURATION", help="How long to try to get an answer, such as 5s.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line, for programs.")]
SagaId = Annotated[str, typer.Argument(metavar="ID", help="The saga's id.")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="All of these; repeatable.")]
Participants = Annotated[
    list[str] | None, typer.Option("--participant", metavar="NAME=ADDRESS", help="Where a participant is; repeatable.")
]
DEFAULT_ADDRESS = "localhost:50051"
DEFAULT_TIMEOUT = "30s"


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"swit-saga {version('swit-saga')}")
        raise typer.Exit(Exit.DONE)


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="The version, and nothing else.")
    ] = False,
) -> None:
    """The swit-saga command: 'serve' and 'dev' run a coordinator, the rest talks to one."""


@app.command()
def serve(
    config: Annotated[str | None, typer.Option("--config", envvar="SWIT_SAGA_CONFIG", help="A YAML file.")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT; port 0 picks a free one.")] = None,
    participant: Participants = None,
) -> None:
    """Run a coordinator until SIGTERM or SIGINT."""
    from swit_saga_server.cli.run import run_server

    run_server(config, listen, participant or [], dev=False)


@app.command()
def dev(
    participant: Participants = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 picks a free one.")] = "localhost:50051",
    store: Annotated[str | None, typer.Option(help="SQLite file; a temporary one that is removed if left out.")] = None,
) -> None:
    """Run a coordinator for trying things: readable logs, and plain words where something is in doubt."""
    from swit_saga_server.cli.run import run_server

    run_server(None, listen, participant or [], dev=True, store=store)


@definitions.command("apply")
def apply_definitions(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="YAML: a definition, or several under 'definitions'; - reads stdin.")
    ],
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = DEFAULT_TIMEOUT,
    json: Json = False,
) -> None:
    """Register a file's definitions, all or none; the same content again keeps its version."""
    way = _way(address, timeout)
    found = read_definitions(read_text(file), "standard input" if file == "-" else file)
    _end(run(apply(way, found, as_json=json)))


@app.command()
def start(
    definition: Annotated[str, typer.Argument(metavar="DEFINITION", help="A registered definition's id.")],
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="Initial data; @FILE reads a file, - standard input.")
    ] = None,
    saga_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Makes the start idempotent.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Repeatable.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the outcome; exit 3 unless it completed.")] = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = DEFAULT_TIMEOUT,
    json: Json = False,
) -> None:
    """Start a saga. Prints its id, or with --wait its outcome."""
    if saga_id == "":
        raise typer.BadParameter("it is empty; leave it out to have one made up", param_hint="'--id'")
    way, labels = _way(address, timeout), _pairs(label, "--label")
    value = read_data(data) if data is not None else None
    _end(run(talk.start(way, definition, value, saga_id, labels, wait=wait, as_json=json)))


@app.command()
def get(
    saga_id: SagaId,
    step: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this step, and its input and output; repeatable.")
    ] = None,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = DEFAULT_TIMEOUT,
    json: Json = False,
) -> None:
    """Show a saga with its steps."""
    _end(run(talk.get(_way(address, timeout), saga_id, step or [], as_json=json)))


@app.command("list")
def list_(
    state: Annotated[
        list[StateName] | None, typer.Option(case_sensitive=False, help="Any of these; repeatable.")
    ] = None,
    definition: Annotated[list[str] | None, typer.Option(metavar="ID", help="Any of these; repeatable.")] = None,
    label: Labels = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = DEFAULT_TIMEOUT,
    json: Json = False,
) -> None:
    """List sagas, newest first."""
    way, labels, states = _way(address, timeout), _pairs(label, "--label"), [s.value for s in state or []]
    _end(run(talk.list_sagas(way, states, definition or [], labels, limit, as_json=json)))


@app.command()
def watch(
    saga_id: SagaId,
    after: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Only events with a greater sequence.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on after the outcome.")] = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Give up after this long without a connection; never if left out."),
    ] = None,
    json: Json = False,
) -> None:
    """Stream a saga's events: history first, then live, until its outcome."""
    way = _way(address, timeout, lasting=True)
    _end(run(talk.watch(way, saga_id, after, follow=follow, as_json=json)))


@app.command()
def cancel(
    saga_id: SagaId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="In words, for the record.")] = "",
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = DEFAULT_TIMEOUT,
    json: Json = False,
) -> None:
    """Stop a saga and undo it."""
    _end(run(talk.cancel(_way(address, timeout), saga_id, reason, as_json=json)))


@app.command()
def health(
    config: Annotated[
        str | None, typer.Option("--config", envvar="SWIT_SAGA_CONFIG", help="As 'serve' has it: where it listens.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", envvar="SWIT_SAGA_ADDRESS", metavar="HOST:PORT", help="Asked instead.")
    ] = None,
    timeout: Timeout = "5s",
) -> None:
    """Ask the coordinator of this machine once whether it takes sagas: code 0, or 4."""
    from swit_saga_server.cli import health as asking

    _end(run(asking.health(_way(address or asking.own_address(config), timeout))))


def _end(code: int) -> None:
    raise typer.Exit(code)


def _way(address: str, timeout: str | None, *, lasting: bool = False) -> Way:
    try:
        where = coordinator_address(address)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="'--address'") from wrong
    try:
        return Way(where, some_time(timeout) if timeout is not None else None, lasting)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="'--timeout'") from wrong


def _pairs(items: list[str] | None, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in items or []:
        key, equals, value = item.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{option} wants KEY=VALUE, not {item!r}")
        if found.setdefault(key, value) != value:
            raise typer.BadParameter(f"{option} is given twice for {key!r}")
    return found
