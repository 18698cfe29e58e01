"""The commands, in the order ``llmobs --help`` shows them."""

import sys
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Any, Final

import typer

from llmobs.cli.check import check
from llmobs.cli.cost import cost
from llmobs.cli.export import export
from llmobs.cli.output import ExitCode, abandon_stdout, complain
from llmobs.cli.runs import runs
from llmobs.cli.show import show
from llmobs.cli.spool import spool
from llmobs.cli.tail import tail
from llmobs.errors import LLMObsError, StoreNotFoundError
from llmobs.store.records import AmbiguousRunError, RunNotFoundError

__all__ = ["COMMANDS", "app", "run"]

COMMANDS: Final[tuple[Callable[..., None], ...]] = (runs, show, tail, cost, export, check, spool)
"""A command is a function in a file of its own: its name, its parameters, its docstring's help."""

app = typer.Typer(
    name="llmobs",
    help="What your application asked its language models, and what came of it.",
    no_args_is_help=True,
    add_completion=False,
    # Names and errors on the command line are not markup.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what goes wrong into one clear line and an exit code."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:  # `llmobs runs | head`: the reader has seen enough
            abandon_stdout()
            raise typer.Exit(ExitCode.BROKEN_PIPE) from None
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except AmbiguousRunError as error:
            complain(str(error), *error.candidates)
            raise typer.Exit(ExitCode.NO_SUCH_RUN) from None
        except RunNotFoundError as error:
            complain(str(error))
            raise typer.Exit(ExitCode.NO_SUCH_RUN) from None
        except StoreNotFoundError as error:
            complain(str(error))
            raise typer.Exit(ExitCode.NO_STORE) from None
        except (LLMObsError, OSError) as error:
            complain(str(error))
            raise typer.Exit(ExitCode.FAILED) from None

    return guarded


for _command in COMMANDS:
    app.command()(_guarded(_command))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"llmobs {version('llmobs')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say it, and exit."),
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line of this process and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not end the command.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="llmobs")
