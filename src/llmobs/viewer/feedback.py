"""What people may say of a run in the viewer."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["COMMENT", "RATINGS", "THUMBS"]

THUMBS: Final = "thumbs"
"""Name of the evaluation that a thumb is."""
COMMENT: Final = "comment"
"""And of a comment without one."""
RATINGS: Final[Mapping[str, float]] = MappingProxyType({"up": 1.0, "down": 0.0})
"""Labels of thumbs, and their scores."""
