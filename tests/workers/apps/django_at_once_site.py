"""Django's tasks at once, where they are enqueued."""

from tests.workers.apps.django_site.settings import (  # noqa: F401
    DATABASES,
    SECRET_KEY,
    USE_TZ,
)

INSTALLED_APPS: list[str] = []
TASKS = {"default": {"BACKEND": "llmobs.contrib.django_tasks.ImmediateBackend"}}
