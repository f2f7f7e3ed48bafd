"""The commands and how they fail: a plain message and an exit code, never a traceback for a user's mistake."""

import sys
from typing import Annotated

import typer

from swit_saga.errors import CallError, CodecError, SagaClientError
from swit_saga_server.cli import talk
from swit_saga_server.cli.run import run_server
from swit_saga_server.core.errors import NameTaken, SwitSagaError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
definitions = typer.Typer(no_args_is_help=True, help="Saga definitions.")
app.add_typer(definitions, name="definitions")

Address = Annotated[str, typer.Option("--address", envvar="SWIT_SAGA_ADDRESS", help="The coordinator.")]
Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line, for programs.")]
SagaId = Annotated[str, typer.Argument(help="The saga's id.")]
Participants = Annotated[
    list[str] | None, typer.Option("--participant", metavar="NAME=ADDRESS", help="Where a participant is; repeatable.")
]
DEFAULT_ADDRESS = "localhost:50051"


@app.command()
def serve(
    config: Annotated[str | None, typer.Option("--config", envvar="SWIT_SAGA_CONFIG", help="A YAML file.")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT; port 0 picks a free one.")] = None,
    participant: Participants = None,
) -> None:
    """Run a coordinator until SIGTERM or SIGINT."""
    run_server(config, listen, participant or [], dev=False)


@app.command()
def dev(
    participant: Participants = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 picks a free one.")] = "localhost:50051",
    store: Annotated[str | None, typer.Option(help="SQLite file; a temporary one that is removed if left out.")] = None,
) -> None:
    """Run a coordinator for trying things: readable logs, and plain words where something is in doubt."""
    run_server(None, listen, participant or [], dev=True, store=store)


@definitions.command("apply")
def apply_definition(
    file: Annotated[str, typer.Argument(help="A YAML file with one definition, or several under 'definitions'.")],
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Register the definitions in a YAML file; the same content again keeps its version."""
    talk.run(talk.apply(address, file))


@app.command()
def start(
    definition: Annotated[str, typer.Argument(help="A registered definition's id.")],
    data: Annotated[str | None, typer.Option(help="Initial data as JSON; @FILE reads a file.")] = None,
    saga_id: Annotated[str | None, typer.Option("--id", help="Makes the start idempotent.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Repeatable.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the outcome; exit 3 unless it completed.")] = False,
    address: Address = DEFAULT_ADDRESS,
    json: Json = False,
) -> None:
    """Start a saga."""
    labels = dict(_pair(item, "--label") for item in label or [])
    talk.run(talk.start(address, definition, data, saga_id, labels, wait, json))


@app.command()
def get(saga_id: SagaId, address: Address = DEFAULT_ADDRESS, json: Json = False) -> None:
    """Show a saga with its steps."""
    talk.run(talk.get(address, saga_id, json))


@app.command("list")
def list_(
    state: Annotated[list[str] | None, typer.Option(help="Any of these; repeatable.")] = None,
    definition: Annotated[list[str] | None, typer.Option(help="Any of these; repeatable.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="All of these; repeatable.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    address: Address = DEFAULT_ADDRESS,
    json: Json = False,
) -> None:
    """List sagas, newest first."""
    labels = dict(_pair(item, "--label") for item in label or [])
    talk.run(talk.list_sagas(address, state or [], definition or [], labels, limit, json))


@app.command()
def watch(
    saga_id: SagaId,
    after: Annotated[int, typer.Option(min=0, help="Only events with a greater sequence.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on after the outcome.")] = False,
    address: Address = DEFAULT_ADDRESS,
    json: Json = False,
) -> None:
    """Stream a saga's events: history first, then live, until its outcome."""
    talk.run(talk.watch(address, saga_id, after, follow, json))


@app.command()
def cancel(
    saga_id: SagaId,
    reason: Annotated[str, typer.Option(help="In words, for the record.")] = "",
    address: Address = DEFAULT_ADDRESS,
    json: Json = False,
) -> None:
    """Stop a saga and undo it."""
    talk.run(talk.cancel(address, saga_id, reason, json))


def _pair(item: str, option: str) -> tuple[str, str]:
    key, equals, value = item.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"{option} wants KEY=VALUE, not {item!r}")
    return key, value


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the saga did not complete."""
    try:
        app()
    except CallError as refused:
        reason = f" [{refused.reason}]" if refused.reason else f" [{refused.code.name}]"
        _fail(f"{refused}{reason}")
    except NameTaken as taken:
        _fail(str(taken), code=2)
    except (SagaClientError, CodecError, SwitSagaError, OSError, ValueError) as wrong:
        _fail(str(wrong))


def _fail(message: str, code: int = 1) -> None:
    print(f"swit-saga: {message}", file=sys.stderr)
    sys.exit(code)
