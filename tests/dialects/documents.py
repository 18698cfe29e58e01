"""The documents, as data: their code blocks, and the signatures their promises print."""

import inspect
import re
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.dialects import rows

__all__ = ["Block", "blocks", "parameters", "printed_signature"]


class Block(NamedTuple):
    """One Python example."""

    section: str
    """The heading it stands under."""
    code: str


def blocks(document: str) -> list[Block]:
    """Return the Python examples of `tests/data/<document>`, in order."""
    text = (rows.ROOT / "tests" / "data" / document).read_text(encoding="utf-8")
    found = []
    section = ""
    code: list[str] | None = None
    for line in text.splitlines():
        if line.startswith("```"):
            if code is None:
                code, is_python = [], line == "```python"
            else:
                if is_python:
                    found.append(Block(section, "\n".join(code) + "\n"))
                code = None
        elif code is not None:
            code.append(line)
        elif line.startswith("#"):
            section = line.strip("# ")
    return found


def printed_signature(row: str, names: Mapping[str, Any]) -> inspect.Signature:
    """Return the signature that the promise of *row* prints, evaluated with *names*."""
    promise = next(r.promise for r in rows.checklist() if r.id == row)
    match = re.search(r"`(?:def )?\w+(\(.*\)(?: -> [^`#]+)?)", promise)
    assert match is not None, promise
    scope: dict[str, Any] = {**vars(typing), **names}
    exec(f"def printed{match[1].rstrip()}: ...", scope)
    return inspect.signature(scope["printed"])


def parameters(signature: inspect.Signature) -> list[tuple[str, Any]]:
    """Return names and defaults, in order, without self; kinds must be the usual one."""
    kept = [p for p in signature.parameters.values() if p.name != "self"]
    assert {p.kind for p in kept} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return [(p.name, p.default) for p in kept]
