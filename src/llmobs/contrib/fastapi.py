"""The door for FastAPI: the middleware and a dependency."""

from typing import Annotated

from fastapi import Depends

from llmobs.capture.tracker import Tracker
from llmobs.contrib.starlette import LLMObsMiddleware, get_tracker, run_of, tracker_of

__all__ = ["LLMObsMiddleware", "TrackerDep", "get_tracker", "run_of", "tracker_of"]

TrackerDep = Annotated[Tracker, Depends(get_tracker)]
"""Annotation for endpoint parameters: ``tracker: TrackerDep``."""
