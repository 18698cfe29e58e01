"""Applications that have the viewer below a path, as real servers serve them; also a Django project."""

import os
from pathlib import Path
from typing import Annotated, Any

SECRET = "let me in"

# A Django project: settings, URLs and the two applications in one module.
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["127.0.0.1"]
DEBUG = False
ROOT_URLCONF = "tests.viewer.hosting"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "llmobs.contrib.django",
]
MIDDLEWARE = [
    "llmobs.contrib.django.LLMObsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}}
USE_TZ = True
if "BEHIND_HTTPS" in os.environ:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    CSRF_COOKIE_SECURE = True
LLMOBS = {
    "RECORD_EMPTY": True,
    "VIEWER_PERMISSION": os.environ.get("VIEWER_PERMISSION"),
}
"""The rest from the environment."""


def django_project(asgi: bool) -> Any:
    """Return its application, with one who is staff, one who is not, one who has a permission, one who has all."""
    os.environ["DJANGO_SETTINGS_MODULE"] = ROOT_URLCONF
    import django
    from django.core.management import call_command

    django.setup()
    from django.contrib.auth.models import Permission, User

    if not Path("site.db").exists():
        call_command("migrate", verbosity=0)
        User.objects.create_user("ada", password=SECRET, is_staff=True)
        User.objects.create_user("bob", password=SECRET)
        User.objects.create_user("dora", password=SECRET, is_superuser=True)
        cleo = User.objects.create_user("cleo", password=SECRET)
        cleo.user_permissions.add(Permission.objects.get(codename="view_user"))
    if asgi:
        from llmobs.contrib.django.asgi import get_asgi_application

        return get_asgi_application()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def __getattr__(name: str) -> Any:
    if name == "urlpatterns":
        from django.contrib import admin
        from django.contrib.auth import get_user_model, login
        from django.http import HttpResponse
        from django.urls import include, path

        def enter(request: Any, name: str) -> HttpResponse:
            login(request, get_user_model().objects.get(username=name))
            return HttpResponse(b"in")

        return [
            path("in/<str:name>", enter),  # the admin's login takes staff alone
            path("admin/", admin.site.urls),
            path("tools/llmobs/", include("llmobs.contrib.django.urls")),
            path("own", lambda request: HttpResponse(b"own")),
        ]
    if name in ("django_asgi", "django_wsgi"):
        return django_project(name == "django_asgi")
    if name == "app":
        return fastapi_host()
    raise AttributeError(name)


def fastapi_host() -> Any:
    """Return an application of FastAPI that has the viewer three times, and one without a question."""
    from fastapi import Depends, FastAPI, Header, HTTPException, Request
    from starlette.responses import RedirectResponse

    from llmobs.contrib import fastapi, starlette

    app = FastAPI()
    app.add_middleware(fastapi.LLMObsMiddleware, record_empty=True)

    def key(x_key: Annotated[str, Header()] = "") -> str:
        return x_key

    def current_admin(request: Request, given: Annotated[str, Depends(key)]) -> str | None:
        assert request.app is app  # whose state a host's dependencies look into
        if given == "wrong":
            raise HTTPException(401, "who are you?")
        return "ada" if given == SECRET else None

    async def may_see(request: Any) -> Any:
        if request.headers.get("x-key") == "wrong":
            raise HTTPException(401, "who are you?")
        if request.headers.get("x-key") == "stranger":
            return RedirectResponse("/login")
        return request.headers.get("x-key") == SECRET

    @app.get("/own")
    async def own() -> str:
        return "own"

    app.mount("/tools/starlette", starlette.viewer(may_see=may_see))
    app.mount("/tools/fastapi", fastapi.viewer(may_see=current_admin))
    app.include_router(fastapi.viewer(may_see=current_admin), prefix="/tools/included")
    app.mount("/tools/open", starlette.viewer(may_see="anybody", project="theirs"))
    return app
