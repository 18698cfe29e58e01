"""Jobs in procrastinate: asynchronous ones, and plain functions in its threads."""

import asyncio
import os

from procrastinate import App, PsycopgConnector, RetryStrategy, SyncPsycopgConnector

from llmobs.contrib.procrastinate import instrument
from tests.workers.apps import shop

sends = __name__ == "__main__"
connector = (SyncPsycopgConnector if sends else PsycopgConnector)(
    conninfo=os.environ["TEST_POSTGRES"]
)
app = App(connector=connector, worker_defaults={"fetch_job_polling_interval": 0.2})
instrument(app)


@app.task(name="shop.record")
async def record(count: int) -> None:
    shop.record(count)


@app.task(name="shop.flaky", retry=RetryStrategy(max_attempts=2, wait=0))
def flaky() -> None:
    shop.flaky()


@app.task(name="shop.broken")
def broken() -> None:
    shop.broken()


@app.task(name="shop.long")
async def long() -> None:
    await asyncio.sleep(shop.start_long())


if __name__ == "__main__":
    with app.open():
        shop.send(
            {
                "record": lambda count: record.defer(count=count),
                "flaky": flaky.defer,
                "broken": broken.defer,
                "long": long.defer,
            }
        )
