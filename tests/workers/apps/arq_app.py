"""Jobs in arq."""

import asyncio
from typing import Any

from arq import Retry, create_pool, func
from arq.connections import RedisSettings

from llmobs.contrib.arq import instrument, job_serializer
from tests.workers.apps import shop

Context = dict[str, Any]


async def record(ctx: Context, count: int) -> None:
    shop.record(count)


async def flaky(ctx: Context) -> None:
    try:
        shop.flaky()
    except OSError as error:
        raise Retry(defer=0) from error


async def broken(ctx: Context) -> None:
    shop.broken()


async def long(ctx: Context) -> None:
    await asyncio.sleep(shop.start_long())


@instrument
class WorkerSettings:
    functions = [func(each, name=f"shop.{each.__name__}") for each in (record, flaky, broken, long)]
    redis_settings = RedisSettings.from_dsn(shop.REDIS)
    poll_delay = 0.05


async def enqueue() -> Any:
    return await create_pool(RedisSettings.from_dsn(shop.REDIS), job_serializer=job_serializer())


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    pool = loop.run_until_complete(enqueue())
    names = ("record", "flaky", "broken", "long")
    shop.send(
        {
            name: lambda *args, name=name: loop.run_until_complete(
                pool.enqueue_job(f"shop.{name}", *args)
            )
            for name in names
        }
    )
    loop.run_until_complete(pool.aclose())
