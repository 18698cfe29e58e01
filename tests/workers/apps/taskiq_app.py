"""Tasks in taskiq: one of them asynchronous, the others in its pool of threads."""

import asyncio

from taskiq import SimpleRetryMiddleware
from taskiq_redis import ListQueueBroker

from llmobs.contrib.taskiq import LLMObsMiddleware
from tests.workers.apps import shop

broker = ListQueueBroker(shop.REDIS).with_middlewares(SimpleRetryMiddleware(), LLMObsMiddleware())


@broker.task("shop.record")
async def record(count: int) -> None:
    shop.record(count)


flaky = broker.task("shop.flaky", retry_on_error=True)(shop.flaky)
broken = broker.task("shop.broken")(shop.broken)
long = broker.task("shop.long")(shop.long)


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(broker.startup())
    tasks = {"record": record, "flaky": flaky, "broken": broken, "long": long}
    shop.send({n: lambda *a, t=t: loop.run_until_complete(t.kiq(*a)) for n, t in tasks.items()})
    loop.run_until_complete(broker.shutdown())
