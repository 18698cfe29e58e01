"""Who may look at what was asked and answered: whoever knows `CHAT_ADMIN_PASSWORD`; without one, nobody."""

import os
from contextlib import suppress
from secrets import compare_digest
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from llmobs.contrib.fastapi import viewer
from llmobs.errors import ConfigurationError


def current_admin(given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> str:
    """Return the name of who asks."""
    password = os.environ.get("CHAT_ADMIN_PASSWORD", "")
    if not password or not compare_digest(given.password.encode(), password.encode()):
        raise HTTPException(401, "who are you?", {"www-authenticate": "Basic"})
    return given.username


def mount_viewer(app: FastAPI) -> None:
    """Show the runs under ``/llmobs``, if they go into a store of this machine."""
    with suppress(ConfigurationError):  # where they go to a collector, it has these pages itself
        app.mount("/llmobs", viewer(may_see=current_admin))
