"""Jobs in rq."""

from redis import Redis
from rq import Queue, Retry

from llmobs.contrib.rq import LLMObsJob
from tests.workers.apps import shop

if __name__ == "__main__":
    queue = Queue(connection=Redis.from_url(shop.REDIS), job_class=LLMObsJob)
    module = "tests.workers.apps.shop"
    shop.send(
        {
            "record": lambda count: queue.enqueue(f"{module}.record", count),
            "flaky": lambda: queue.enqueue(f"{module}.flaky", retry=Retry(max=1)),
            "broken": lambda: queue.enqueue(f"{module}.broken"),
            "long": lambda: queue.enqueue(f"{module}.long"),
        }
    )
