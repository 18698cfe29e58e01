"""A Celery application without the door, whose tasks record: `celery --app tests.workers.apps.celery_ends worker`."""

import os
import time
from functools import cache

from celery import Celery
from celery.signals import worker_process_shutdown

import llmobs
from llmobs.client.process_exit import ExitHook
from tests.processes.programs import log

if "TEST_WRONG" in os.environ:
    ExitHook._register_with_celery = lambda self: None  # type: ignore[method-assign]

app = Celery("tests", broker=os.environ["TEST_REDIS"])
module_client = llmobs.Client()
log(10, module_client)  # its thread and its store exist before the fork


worked: list[str] = []
"""What this child did."""


@worker_process_shutdown.connect
def last_words(**details: object) -> None:
    if worked:
        log(1)


@cache
def own_client() -> llmobs.Client:
    """Made by the first task of a child."""
    return llmobs.Client()


@app.task(name="record")
def record(whose: str, count: int, seconds: float = 0.0) -> None:
    clients = {"module": lambda: module_client, "own": own_client, "default": llmobs.default_client}
    log(count, clients[whose]())
    worked.append(whose)
    time.sleep(seconds)
