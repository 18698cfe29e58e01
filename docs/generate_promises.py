"""
Write docs/reference/promises.md: each promise of the two documents and the tests that prove it.

Run it from anywhere: ``python docs/generate_promises.py``.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.dialects import rows  # noqa: E402 - found through the line above

PAGE = ROOT / "docs" / "reference" / "promises.md"


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(rows.page(rows.checklist(), rows.collect()), encoding="utf-8")


if __name__ == "__main__":
    main()
