"""``llmobs keys``."""

from typing import Any

import click

from llmobs.cli.options import json_option, store_option, store_path
from llmobs.cli.output import write_json
from llmobs.describe.words import moment, visible
from llmobs.server.keys import MAY, Key, KeyFile

__all__ = ["keys"]


@click.group()
def keys() -> None:
    """
    The keys of a collector: who may send to `llmobs serve` and read from it.

    They are kept as hashes, in a file beside the store. A running collector knows of every change within a
    second.
    """


@keys.command()
@click.argument("name", default="")
@click.option("--project", metavar="ID", help="The one project it writes to and reads from.")
@click.option(
    "--all-projects", is_flag=True, help="It is for all projects, Prometheus's for instance."
)
@click.option(
    "--may", type=click.Choice([*MAY, "all"]), multiple=True, default=("ingest",),
    show_default=True, help="Send everything, send evaluations alone, read, or all; more than one.",
)  # fmt: skip
@store_option
@json_option
def add(
    name: str,
    project: str | None,
    all_projects: bool,
    may: tuple[str, ...],
    store: str | None,
    json: bool,
) -> None:
    """
    Make a key, and show it this once. NAME says whose it is or what it is for.
    """
    if (project is None) is not all_projects:
        raise click.UsageError("say for what it is: --project ID, or --all-projects")
    key, text = KeyFile(store_path(store)).add(name=name, project=project, may=may)
    if json:
        write_json({**_known(key), "key": text})
        return
    click.echo(text)
    click.echo(
        f"This is key {key.id}; it is shown this once, and kept nowhere. Send it as a bearer token"
        " (llmobs, WatchLLM, Logfire), as x-api-key or api-key, or with Basic authentication as the"
        f" password: for Langfuse's SDKs, LANGFUSE_PUBLIC_KEY={key.id} and the key as LANGFUSE_SECRET_KEY.",
        err=True,
    )


@keys.command("list")
@store_option
@json_option
def list_(store: str | None, json: bool) -> None:
    """Show the keys that there are and were; not the keys themselves, which nobody has."""
    found = [_known(key) for key in KeyFile(store_path(store)).read()]
    if json:
        write_json(found)
        return
    rows = [
        (
            key["id"],
            "all projects" if key["project"] is None else key["project"],
            ", ".join(key["may"]),
            moment(key["created"]),
            "revoked" if key["revoked"] else "",
            key["name"],
        )
        for key in found
    ]
    if not rows:
        click.echo("there are no keys yet: llmobs keys add --project ID", err=True)
        return
    rows.insert(0, ("id", "project", "may", "created (UTC)", "", "name"))
    texts = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        click.echo(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


@keys.command()
@click.argument("which", metavar="ID")
@store_option
@json_option
def revoke(which: str, store: str | None, json: bool) -> None:
    """Take a key's rights for good, by its id or its name."""
    key = KeyFile(store_path(store)).revoke(which)
    if json:
        write_json(_known(key))
    else:
        click.echo(f"key {key.id} is revoked; running collectors know within a second")


def _known(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "project": key.project,
        "may": [one for one in MAY if one in key.may],
        "created": key.created,
        "revoked": key.revoked,
    }
