"""Recording never raises, loses nothing and stays readable, whatever it is given."""

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

import llmobs
from llmobs.codec import decode, encode
from llmobs.fields import CommonFields, PromptCallFields
from llmobs.pipeline.sink import Batch

pytestmark = pytest.mark.timeout(60)


class Broken:
    """Raises whatever is done with it."""

    def _raise(self, *args: object) -> Any:
        raise RuntimeError("broken on purpose")

    __repr__ = __str__ = __hash__ = __eq__ = __bool__ = __len__ = __iter__ = __lt__ = _raise


class BrokenMapping(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("broken on purpose")

    get = keys = values = __iter__ = items


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken on purpose")

    @property
    def __cause__(self) -> Any:
        raise RuntimeError("broken on purpose")


def values() -> list[Any]:
    """One of each kind; fresh, since some can be used once."""
    return [
        None, True, 5, -1, 0, 10**5000, 1.5, float("nan"), float("inf"), "", "x", "\ud83d", b"b",
        [], [1, None], [1.0, float("nan")], ["a", Broken()], (), {}, {1: 2}, {"a": Broken()}, set(),
        {1}, range(3), (n for n in [1]), object(), object, Exception, lambda: 1, Broken(),
        BrokenMapping(a=1), BrokenError(), ValueError("x"), UUID(int=1), date.min,
        datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), llmobs.Status.ERROR,  # noqa: DTZ001
    ]  # fmt: skip


class ReadingSink:
    """Reads back what it writes, as every native sink, store and spool must be able to."""

    name = "reading"
    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def open(self) -> None:
        pass

    async def send(self, batch: Batch) -> None:
        self.ids += [decode(encode(event)).event_id for event in batch.events]

    async def aclose(self) -> None:
        pass


@pytest.fixture
def sink() -> ReadingSink:
    return ReadingSink()


@pytest.fixture
def client(sink: ReadingSink) -> Iterator[llmobs.Client]:
    with llmobs.Client(sink=sink, flush_interval_seconds=60) as client:
        yield client
        report = client.flush(30)
        assert report.pending == 0
        statistics = client.statistics()
        assert statistics.delivered == statistics.accepted == len(sink.ids) > 0, statistics


METHODS = [name for name in dir(llmobs.Tracker) if name.startswith("log_") or name == "track"]
KNOWN = {"error": "e", "prompt": "p", "response": "r", "model": "m", "run_id": "run"}


def parameters_of(method: Callable[..., Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what must be given, and the names of all that may be."""
    required: dict[str, Any] = {}
    names: list[str] = []
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            is_call = method.__name__ == "log_prompt_call"
            names += (PromptCallFields if is_call else CommonFields).__annotations__
            if is_call:
                names += CommonFields.__annotations__
            names += ["no_such_field", "client", "warnings", "standalone"]
        else:
            names.append(name)
            if parameter.default is parameter.empty:
                required[name] = KNOWN.get(name, 1)
    return required, names


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", ["client", "tracker"])
def test_any_value_of_any_argument(client: llmobs.Client, kind: str, name: str) -> None:
    method = getattr(client if kind == "client" else client.run(), name)
    required, names = parameters_of(method)
    for argument in names:
        for value in values():
            assert isinstance(method(**{**required, argument: value}), str), argument


@pytest.mark.parametrize(
    "argument", [n for n in inspect.signature(llmobs.Client.run).parameters if n != "self"]
)
def test_any_value_for_a_run(client: llmobs.Client, argument: str) -> None:
    for value in values():
        with client.run(**{argument: value}) as run:
            run.log_error("e")
            with run.agent_step("step"):
                run.log_prompt_call("p", "m", "r")


@pytest.mark.parametrize(
    "argument", ["latency_ms", "status", "no_such_field", "run_id", "name", "error"]
)
def test_any_value_at_the_end_of_a_run(client: llmobs.Client, argument: str) -> None:
    for value in values():
        run = client.run()
        run.log_error("e")
        if argument != "error" or isinstance(value, BaseException):
            run.finish(**{argument: value})


FIELDS = [*PromptCallFields.__annotations__, *CommonFields.__annotations__]
OWN = ["model", "prompt", "response", "tokens_input", "tokens_output", "latency_ms", "status"]


@pytest.mark.parametrize("argument", [*FIELDS, *OWN, "no_such_field"])
def test_any_value_in_a_block(client: llmobs.Client, argument: str) -> None:
    for value in values():
        with client.run() as run, run.prompt_call(model="m") as call:
            call.finish(**{argument: value})
        with run.tool_call("tool") as tool:
            tool.add(**{argument: value})
        with run.agent_step("step", argument, input_data=value) as step:
            step.add(**{argument: value})
