"""Tasks in Celery."""

from celery import Celery, Task

from llmobs.contrib.celery import instrument
from tests.workers.apps import shop

app = Celery("shop", broker=shop.REDIS)
app.conf.broker_connection_retry_on_startup = True
instrument()


@app.task(name="shop.record")
def record(count: int) -> None:
    shop.record(count)


@app.task(name="shop.flaky", bind=True)
def flaky(self: Task) -> None:
    try:
        shop.flaky()
    except OSError as error:
        raise self.retry(exc=error, countdown=0) from error


@app.task(name="shop.broken")
def broken() -> None:
    shop.broken()


@app.task(name="shop.long")
def long() -> None:
    shop.long()


if __name__ == "__main__":
    tasks = {"record": record, "flaky": flaky, "broken": broken, "long": long}
    shop.send({name: task.delay for name, task in tasks.items()})
