"""
The commands, in the order ``llmobs --help`` shows them.

Built on click: Typer stands on pydantic since 0.29, which takes half a second to load. And only the
command that is asked for is imported, with what it stands on.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper
from typing import Any, Final

import click

from llmobs import __version__
from llmobs.cli.output import ExitCode, abandon_stdout, complain
from llmobs.errors import LLMObsError, MissingExtraError, StoreNotFoundError

__all__ = ["COMMANDS", "llmobs", "run"]

COMMANDS: Final = (
    "runs", "show", "search", "tail", "cost", "export", "import", "check", "spool", "store", "redact",
    "scan", "forget", "serve", "mcp", "keys",
)  # fmt: skip
"""A command is a function in a file of its own: its name, its parameters, its docstring's help."""


PLAIN: Final = frozenset({"store", "serve", "mcp", "keys"})
"""Those that need nothing of the extra ``cli`` but click, which ``serve`` brings, too."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        is_complete = find_spec("rich") is not None
        return [name for name in COMMANDS if is_complete or name in PLAIN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in PLAIN and find_spec("rich") is None:
            raise MissingExtraError("rich", "cli")
        # A word of Python's own is no name for a function or a file.
        name = f"{cmd_name}_" if cmd_name == "import" else cmd_name
        command: click.Command = getattr(import_module(f"llmobs.cli.{name}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Turn what goes wrong into one clear line and an exit code."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # `llmobs runs | head`: the reader has seen enough
            abandon_stdout()
            ctx.exit(ExitCode.BROKEN_PIPE)
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)
        except (LLMObsError, OSError) as error:
            complain(str(error), *getattr(error, "candidates", ()))
            ctx.exit(_code(error))
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - a store is a file that anybody may have changed
            complain(
                f"what was read makes no sense to this llmobs: {type(error).__name__}: {error}"
            )
            ctx.exit(ExitCode.FAILED)


def _code(error: Exception) -> int:
    if isinstance(error, MissingExtraError):  # as `llmobs.__main__` does for click
        return 2
    if isinstance(error, LookupError):  # no such run, or several
        return ExitCode.NO_SUCH_RUN
    return ExitCode.NO_STORE if isinstance(error, StoreNotFoundError) else ExitCode.FAILED


def _show_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"llmobs {__version__}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Say it, and exit.",
)  # fmt: skip
def llmobs() -> None:
    """What your application asked its language models, and what came of it."""


def run() -> None:
    """Run the command line of this process and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not end the command.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    llmobs(prog_name="llmobs")
