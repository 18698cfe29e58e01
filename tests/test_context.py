"""llmobs.runtime.context: the right run, wherever the code runs."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import pytest

import llmobs
from llmobs import bind_run, current_run, current_tracker
from llmobs.testing import CapturedEvents


@pytest.fixture
def client(llmobs_events: CapturedEvents) -> llmobs.Client:
    return llmobs.Client()


def run_id() -> str | None:
    run = current_run()
    return None if run is None else run.run_id


def test_blocks_nest_and_leave_nothing_behind(client: llmobs.Client) -> None:
    assert run_id() is None
    with client.run("outer") as outer:
        assert current_tracker() is outer
        with client.run("inner"):
            assert run_id() == "inner"
            with current_tracker().agent_step("s"):
                assert run_id() == "inner"
        assert run_id() == "outer"
    assert run_id() is None


@pytest.mark.anyio
async def test_concurrent_tasks_see_their_own_runs(client: llmobs.Client) -> None:
    seen: dict[str, set[str | None]] = {}

    async def work(name: str) -> None:
        with client.run(name):
            seen[name] = set()
            for _ in range(5):
                await anyio.sleep(0)
                seen[name].add(run_id())
                seen[name].add(await anyio.to_thread.run_sync(run_id))

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(work, f"run-{number}")
    assert seen == {f"run-{n}": {f"run-{n}"} for n in range(10)}


@pytest.mark.anyio
async def test_child_tasks_inherit_the_run_and_its_changes(client: llmobs.Client) -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def child() -> None:
        run = current_run()
        assert run is not None
        await anyio.sleep(0)
        seen.append((run.run_id, run.user_id))

    with client.run("parent") as run:
        async with anyio.create_task_group() as group:
            group.start_soon(child)
            run.user_id = "set later"
    assert seen == [("parent", "set later")]


def test_executors_need_bind_run(client: llmobs.Client) -> None:
    with ThreadPoolExecutor(1) as pool, client.run("bound"):
        assert pool.submit(run_id).result() is None
        assert pool.submit(bind_run(run_id)).result() == "bound"
        assert pool.submit(run_id).result() is None  # nothing stays in the pool's thread


def test_bind_run_passes_arguments_results_and_errors(client: llmobs.Client) -> None:
    def divide(a: int, b: int) -> float:
        return a / b

    with client.run("bound"):
        bound = bind_run(divide)
    assert bound(6, b=3) == 2
    with pytest.raises(ZeroDivisionError):
        bound(1, 0)


def test_a_block_left_in_another_context_neither_raises_nor_leaks(
    client: llmobs.Client, caplog: pytest.LogCaptureFixture
) -> None:
    block = client.run("wandering")
    contextvars.copy_context().run(block.__enter__)
    assert run_id() is None
    with client.run("here"):
        block.__exit__(None, None, None)
        assert run_id() == "here"
    assert "Context" not in caplog.text


def test_generators_closed_elsewhere_are_harmless(client: llmobs.Client) -> None:
    def numbers() -> Iterator[int]:
        with client.run("generator") as run, run.agent_step("inside"):
            yield 1
            yield 2

    def start() -> Iterator[int]:
        generator = numbers()
        next(generator)
        return generator

    generator = contextvars.copy_context().run(start)
    generator.close()  # type: ignore[attr-defined]
    assert run_id() is None


def test_async_generators_finalised_by_the_loop_are_harmless(
    client: llmobs.Client, caplog: pytest.LogCaptureFixture
) -> None:
    async def numbers() -> AsyncIterator[int]:
        with client.run("generator"):
            yield 1
            yield 2

    async def main() -> None:
        async for _ in numbers():
            break  # left open: the loop closes it in another task

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    assert "Context" not in caplog.text


def test_threads_started_by_hand_have_no_run(client: llmobs.Client) -> None:
    seen: list[str | None] = []
    with client.run("main"):
        thread = threading.Thread(target=lambda: seen.append(run_id()))
        thread.start()
        thread.join()
        bound = threading.Thread(target=bind_run(lambda: seen.append(run_id())))
        bound.start()
        bound.join()
    assert seen == [None, "main"]
