"""The command ``llmobs``, also as ``python -m llmobs``."""

import sys
from importlib.util import find_spec

from llmobs.errors import MissingExtraError

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit; 2 if what it stands on is not installed."""
    if find_spec("click") is None:
        sys.stderr.write(f"llmobs: {MissingExtraError('click', 'cli')}\n")
        raise SystemExit(2)
    from llmobs.cli.app import run

    run()


if __name__ == "__main__":
    main()
