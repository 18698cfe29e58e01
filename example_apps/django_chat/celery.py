"""The queue: `celery --app example_apps.django_chat.celery worker`."""

import os

from celery import Celery

from llmobs.contrib.celery import instrument

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_apps.django_chat.settings")

app = Celery("django_chat", include=["example_apps.django_chat.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
instrument()  # each task is a run, linked to the request that sent it
