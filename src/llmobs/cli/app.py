"""
The commands, in the order ``llmobs --help`` shows them.

Only the one that is asked for is imported: what they stand on takes up to a second to load.
"""

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from importlib import import_module
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Any, Final

import typer

from llmobs.cli.output import ExitCode, abandon_stdout, complain
from llmobs.errors import LLMObsError, StoreNotFoundError

__all__ = ["COMMANDS", "build", "run"]

COMMANDS: Final = ("runs", "show", "tail", "cost", "export", "import", "check", "spool")
"""A command is a function in a file of its own: its name, its parameters, its docstring's help."""

_HELP: Final = {"help_option_names": ["-h", "--help"]}


def build(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """Return the command line, with the commands *names* only."""
    app = typer.Typer(
        name="llmobs",
        help="What your application asked its language models, and what came of it.",
        no_args_is_help=True,
        add_completion=False,
        # Names and errors on the command line are not markup.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_HELP,
    )
    app.callback()(_options)
    for name in names:
        # A word of Python's own is no name for a function or a file.
        own = f"{name}_" if name == "import" else name
        command = getattr(import_module(f"llmobs.cli.{own}"), own)
        app.command(name, context_settings=_HELP)(_guarded(command))
    return app


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
        except (LLMObsError, OSError) as error:
            complain(str(error), *getattr(error, "candidates", ()))
            raise typer.Exit(_code(error)) from None
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except Exception as error:  # noqa: BLE001 - a store is a file that anybody may have changed
            complain(
                f"what was read makes no sense to this llmobs: {type(error).__name__}: {error}"
            )
            raise typer.Exit(ExitCode.FAILED) from None

    return guarded


def _code(error: Exception) -> ExitCode:
    if isinstance(error, LookupError):  # no such run, or several
        return ExitCode.NO_SUCH_RUN
    return ExitCode.NO_STORE if isinstance(error, StoreNotFoundError) else ExitCode.FAILED


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"llmobs {version('llmobs')}")
        raise typer.Exit


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
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    wanted = [first] if first in COMMANDS else [] if first == "--version" else COMMANDS
    build(wanted)(prog_name="llmobs")
