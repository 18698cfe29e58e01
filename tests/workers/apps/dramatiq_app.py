"""Tasks in dramatiq."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from llmobs.contrib.dramatiq import LLMObsMiddleware
from tests.workers.apps import shop

broker = RedisBroker(url=shop.REDIS)
broker.add_middleware(LLMObsMiddleware())
dramatiq.set_broker(broker)

record = dramatiq.actor(shop.record)
flaky = dramatiq.actor(shop.flaky, max_retries=1, min_backoff=1)
broken = dramatiq.actor(shop.broken, max_retries=0)
long = dramatiq.actor(shop.long, max_retries=0)
before = dramatiq.actor(shop.before, max_retries=0)
after = dramatiq.actor(shop.after, max_retries=0)

if __name__ == "__main__":
    tasks = {"record": record, "flaky": flaky, "broken": broken, "long": long}
    pipeline = dramatiq.pipeline([before.message(), after.message()])
    shop.send({name: task.send for name, task in tasks.items()} | {"pipeline": pipeline.run})
