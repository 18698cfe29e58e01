"""The command ``llmobs``, also as ``python -m llmobs``."""

import sys
from importlib.util import find_spec

from llmobs.errors import MissingExtraError

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit; 2 if the extra ``cli`` is not installed."""
    for package in ("click", "rich"):
        if find_spec(package) is None:
            sys.stderr.write(f"llmobs: {MissingExtraError(package, 'cli')}\n")
            raise SystemExit(2)
    from llmobs.cli.app import run

    run()


if __name__ == "__main__":
    main()
