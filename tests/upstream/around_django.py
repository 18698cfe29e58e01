"""
Settings for Django's own suite: every handler has the middleware outside all others.

It stands alone, as `around.py` does. ``LLMOBS_AROUND`` says how: ``header`` or ``silent``.
"""

import logging
import os
from typing import Any

from django.conf import settings
from django.core.handlers import base
from test_sqlite import *  # noqa: F403 - Django's own settings for its suite

from llmobs.runtime.troubles import raise_internal_errors

OURS = "llmobs.contrib.django.LLMObsMiddleware"
LLMOBS: dict[str, Any] = {"SINK": "memory:", "RECORD_EMPTY": True}
if os.environ.get("LLMOBS_AROUND") == "silent":
    LLMOBS["HEADER_NAME"] = None

# Suites count log records; whether the application logs more is not what is compared.
logging.getLogger("llmobs").propagate = False
raise_internal_errors(True)  # or a request would be served without us, and pass


class _Around:
    """The settings, with one middleware more."""

    LLMOBS = LLMOBS

    def __getattr__(self, name: str) -> Any:
        value = getattr(settings, name)
        return [OURS, *value] if name == "MIDDLEWARE" else value


base.settings = _Around()
