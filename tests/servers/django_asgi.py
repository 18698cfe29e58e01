"""Django's application for ASGI servers, with the client's life around it."""

import os

from llmobs.contrib.django.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.servers.django_site")
application = get_asgi_application()
