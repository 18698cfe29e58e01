"""Celery without a broker: its queue is a folder."""

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES, filesystem

SECONDS = 0.02


class Transport(filesystem.Transport):
    """
    Kombu's, made to be read in an event loop as those of Redis and RabbitMQ are.

    For the others Celery has another loop and another pool, which nobody uses in production.
    """

    implements = filesystem.Transport.implements.extend(asynchronous=True)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        def look() -> None:
            with suppress(socket.timeout):  # the folder is empty
                self.drain_events(connection, timeout=SECONDS / 2)

        loop.call_repeatedly(SECONDS, look)


TRANSPORT_ALIASES["folder"] = f"{__name__}:Transport"


def use_folder(app: Celery, folder: Path) -> Celery:
    """Let *app* keep its queue in *folder*."""
    app.conf.broker_url = "folder://"
    folders = ("data_folder_in", "data_folder_out", "control_folder")
    app.conf.broker_transport_options = dict.fromkeys(folders, str(folder))
    return app
