"""The site's settings. `DJANGO_CHAT_FOLDER` says where its files are."""

import os
from pathlib import Path

FOLDER = Path(os.environ.get("DJANGO_CHAT_FOLDER", ".demo")).absolute()
FOLDER.mkdir(parents=True, exist_ok=True)

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "of an example, which signs nothing")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "example_apps.django_chat.urls"
USE_TZ = True
TIME_ZONE = "UTC"

INSTALLED_APPS = [
    "django.contrib.admin",  # whose login the viewer's visitors have
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "rest_framework",
    "llmobs.contrib.django",
    "example_apps.django_chat",
]
MIDDLEWARE = [
    "llmobs.contrib.django.LLMObsMiddleware",  # first: the time of the others counts
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
# What is not said here comes from the environment: LLMOBS_RELEASE, LLMOBS_SAMPLE_RATE, …
LLMOBS = {
    "SINK": f"sqlite:///{FOLDER / 'django.db'}",
    "SERVICE_NAME": "django-chat",
    "EXCLUDE": ["/health"],
}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "site.sqlite3",
        # The site and the worker write to it at the same time.
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None}

# A folder as the broker, so that the example needs no other server. For trying only: a worker that reads
# a message while it is written ends with an error and loses it. A site would name Redis here.
CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "filesystem://")
if CELERY_BROKER_URL == "filesystem://":
    QUEUE = FOLDER / "queue"
    QUEUE.mkdir(exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(QUEUE),
        "data_folder_out": str(QUEUE),
        "control_folder": str(FOLDER / "queue-control"),
        "polling_interval": 0.1,
    }
CELERY_TASK_IGNORE_RESULT = True
