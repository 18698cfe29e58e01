"""Django's own application for ASGI servers: no lifespan, and nobody who waits."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.servers.django_site")
application = get_asgi_application()
