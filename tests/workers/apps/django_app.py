"""Tasks in Django, kept in its database."""

from importlib.util import find_spec

from tests.workers.apps import shop

if find_spec("django.tasks"):
    from django.tasks import task
else:
    from django_tasks import task


@task
def record(count: int) -> None:
    shop.record(count)


@task
def broken() -> None:
    shop.broken()


@task(takes_context=True)
def long(context: object) -> None:
    shop.long()
