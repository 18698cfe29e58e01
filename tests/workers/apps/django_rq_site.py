"""Django's tasks on rq: the backend of django-tasks-rq."""

import os

from tests.workers.apps.django_site.settings import (  # noqa: F401
    DATABASES,
    SECRET_KEY,
    USE_TZ,
)

INSTALLED_APPS = ["django_rq"]
RQ_QUEUES = {"default": {"URL": os.environ["TEST_REDIS"]}}
TASKS = {"default": {"BACKEND": "llmobs.contrib.django_tasks.RQBackend"}}
