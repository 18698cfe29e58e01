"""Which run is current around a request."""

from llmobs.capture.tracker import Tracker
from llmobs.runtime.context import Frame, current_frame, set_frame

__all__ = ["put_back"]


def put_back(tracker: Tracker, previous: Frame | None) -> None:
    """Make *previous* current again where *tracker*, or an operation left open in it, still is."""
    frame = current_frame()
    if frame is not None and frame.run is tracker:
        set_frame(previous)
