"""Django 5.2 with django-tasks, or 6.x with its own tasks; kept in a database either way."""

import os
from pathlib import Path

SECRET_KEY = "of tests"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ["TEST_FOLDER"]) / "django.db",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
INSTALLED_APPS = ["django_tasks_db"]
TASKS = {"default": {"BACKEND": "llmobs.contrib.django_tasks.DatabaseBackend"}}
