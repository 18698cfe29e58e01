"""docs/reference/cli.md names every command and every option, and none that is not there."""

import re
from pathlib import Path

import click

from llmobs.cli.app import COMMANDS, llmobs

PAGE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text("utf-8")


def test_every_command_has_a_heading() -> None:
    described = re.findall(r"^## llmobs (\w+)$", PAGE, re.MULTILINE)
    assert described == list(COMMANDS)


def test_every_option_is_described_and_exists() -> None:
    existing = {"--help", "--version"}
    context = click.Context(llmobs)
    for name in COMMANDS:
        command = llmobs.get_command(context, name)
        assert command is not None
        section = PAGE.partition(f"\n## llmobs {name}\n")[2].partition("\n## ")[0]
        commands = command.commands.values() if isinstance(command, click.Group) else [command]
        for parameter in [parameter for each in commands for parameter in each.params]:
            options = {*parameter.opts, *parameter.secondary_opts} - {"--help"}
            existing |= options
            if parameter.param_type_name == "option" and options:
                assert any(f"`{option}" in section for option in options), (name, options)
        for each in commands if isinstance(command, click.Group) else ():
            assert f"`llmobs {name} {each.name}`" in section
    mentioned = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert mentioned <= existing
