"""What docstrings say, as Markdown: shared by the pages that are made from the code."""

import inspect
import re
from typing import Any

from llmobs.answers import docstrings

__all__ = ["attribute_docs", "first_paragraph", "markdown", "one_line"]


def attribute_docs(cls: type) -> dict[str, str]:
    """Return the docstring below each attribute of *cls*, as one line of Markdown."""
    return {name: one_line(words) for name, words in docstrings.attribute_docs(cls).items()}


def first_paragraph(value: Any) -> str:
    """Return the beginning of a docstring as one line."""
    return one_line((inspect.getdoc(value) or "").split("\n\n")[0])


def one_line(text: str) -> str:
    """Return *text* as one line of Markdown."""
    return _quoted(" ".join(text.split()))


def _quoted(text: str) -> str:
    """Code quotes of reStructuredText become Markdown's."""
    return re.sub(r":\w+:`", "`", text.replace("``", "`"))


def markdown(text: str) -> list[str]:
    """Return a docstring's lines: Google's sections become lists, literal blocks are fenced."""
    lines: list[str] = []
    literal = section = False
    for line in _quoted(text).split("\n"):
        if literal and line.strip() and not line.startswith("    "):
            while not lines[-1]:
                lines.pop()
            lines += ["```", ""]
            literal = False
        if literal:
            if line or lines[-1] != "```":
                lines.append(line.removeprefix("    "))
        elif line.strip() in ("Args:", "Raises:", "Returns:", "Yields:"):
            section = True
            lines += [f"*{line.strip()[:-1]}*", ""]
        elif line.endswith("::"):
            literal = True
            if line != "::":
                lines += [line[:-1], ""]
            lines.append("```")
        elif section and line.startswith("    ") and not line.startswith("     "):
            head, colon, rest = line.strip().partition(":")
            lines.append(f"- `{head}`:{rest}" if colon else f"- {head}")
        else:
            section = section and (not line or line.startswith("    "))
            lines.append(f"  {line.strip()}" if section and line else line)
    if literal:
        lines.append("```")
    return [*lines, ""]
