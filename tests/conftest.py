"""Fixtures for the whole suite: three event loops, and internal errors that surface."""

import functools
import gc
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import httpcore2
import hypothesis  # before anything is frozen: it looks for who refers to whom
import pytest
from blockbuster import BlockBuster

import llmobs
from llmobs.capture import building
from llmobs.runtime import troubles
from llmobs.store.reader import Reader
from llmobs.store.reading import Reading
from tests.helpers import note_threads

pytest_plugins = ["tests.support.kafka_fixtures"]

BEYOND_THE_CORE = (
    "browser/",  # Chromium from Debian
    "workers/",  # Redis and PostgreSQL from Debian, workers that end in every way
    "faults/",  # minutes of outages, kills and full disks
    "sinks/test_kafka_security.py",  # brokers of their own, stopped, frozen and drowned
    "server/test_endings.py::test_thirty_ends",  # 60 starts
    "sinks/test_otlp_receiver.py",  # OpenTelemetry's collector, built with Go
    "mcp/test_client.py",  # an SDK that takes seconds to import
    "server/test_api_schema.py",  # thousands of questions
    "server/test_proxies.py",  # nginx and Caddy from Debian
    "support_tests/test_kafka_broker.py",
    "support_tests/test_kafka_shared.py",
    # Every way to end, on every destination, under every server: the core has each of them once.
    "processes/test_destinations.py",
    "processes/test_spooled.py",
    "servers/test_signals.py::test_everything_recorded_arrives[hypercorn",
    "servers/test_signals.py::test_everything_recorded_arrives[granian",
    "servers/test_signals.py::test_everything_recorded_arrives[uvicorn --loop",
    "servers/test_start.py::test_a_wrong_setting_stops_the_start_with_its_words[hypercorn",
    "servers/test_start.py::test_a_wrong_setting_stops_the_start_with_its_words[granian",
    # Heavy SDKs; the core has their wires, in tests/contrib/capture/test_corpus.py.
    "contrib/capture/test_sdks.py",
    "contrib/capture/test_bedrock.py",
    "redaction/test_presidio.py::test_what_presidio",  # an environment of its own, with spaCy
    "contrib/capture/test_faults.py",
    "contrib/test_joining.py",
    "contrib/test_langchain_real.py",
    "contrib/agents/",  # an environment of its own
    "privacy/test_kafka.py",  # every page and answer, behind a broker
    "privacy/test_sdks.py",
    "privacy/test_transports.py",
    "contrib/test_opentelemetry_real.py",
    # Every hostile value in every argument; the core has each argument with some.
    "hostile/test_recording.py::test_any_argument_takes_every_value",
    "contrib/sdks/test_real.py",  # environments of their own
    "senders/test_real.py",  # environments of their own; the core has what these sent
    "example_apps/test_langchain_worker.py",
    "example_apps/test_django_chat.py::test_the_demo",
    "example_apps/test_starlette_agent.py::test_the_demo",
    "example_apps/test_fastapi_chat.py::test_the_viewer",
    "example_apps/test_fastapi_chat.py::test_unwatched",
    "example_apps/test_fastapi_chat.py::test_an_interrupted_demo_leaves_nothing_running[15]",
    "dialects/test_sentinel_client.py::test_a_refused_login_is_told_at_once",  # a broker of its own
    "servers/test_django.py",
    "server/test_kafka.py::test_a_broker_that_goes",  # one of its own
    "server/test_kafka.py::test_the_command_killed_and_ended",
    "server/test_kafka.py::test_collectors_share_partitions",  # rebalances, which take their time
    "contrib/django/test_runners.py",
    "cli/test_scan.py::test_it_may_be_killed_before",  # some forty times
    "privacy/test_frameworks.py",  # environments of their own
    "privacy/test_mounted.py",
    "contrib/django/test_versions.py",  # an environment of its own
    "dialects/test_sentinel_config.py::test_both_libraries",
    "dialects/test_sentinel_names.py::test_a_consumer_passes_mypy_strict",
    "dialects/test_watchllm_install.py",
)
"""What ``make test-all`` runs and ``make test`` does not: rooms that need more than pip and one broker, or minutes."""
_BEYOND_WHOLE = tuple(f"{path.removesuffix('/')}/" for path in BEYOND_THE_CORE if "::" not in path)


# How long Hypothesis takes to make a value says how busy the machine is.
hypothesis.settings.register_profile(
    "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what ``make test`` leaves out whole: heavy SDKs take seconds a process."""
    if config.option.markexpr != "not beyond":
        return None
    path = collection_path.relative_to(Path(__file__).parent).as_posix()
    return f"{path}/".startswith(_BEYOND_WHOLE) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what belongs to ``make test-all``."""
    for item in items:
        if item.nodeid.removeprefix("tests/").startswith(BEYOND_THE_CORE):
            item.add_marker("beyond")


FREEZE_SECONDS = 15.0
_frozen_at = time.monotonic()


def pytest_collection() -> None:
    """What collecting makes stays: looking through it for garbage takes a sixth of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was imported out of the garbage collector's rounds: of SDKs it is a million objects."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """
    What goes for every test, in hooks: fixtures would take seconds, as there are twelve thousand tests.

    An error that the guard would log in an application fails the test. Tests may ask which threads they
    started (`tests.helpers.llmobs_threads`). The names of fields that do not exist are said once in a
    process: other tests have named some too.
    """
    troubles.raise_internal_errors(True)
    note_threads()
    building._said.clear()
    result = yield
    troubles.raise_internal_errors(False)
    return result  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """The same of what rooms import as they come, and of reports: a round took a third of a second."""
    yield
    is_last = nextitem is None or nextitem.path != item.path
    if is_last and time.monotonic() - _frozen_at > FREEZE_SECONDS:
        _freeze()


def _freeze() -> None:
    global _frozen_at
    gc.collect()
    gc.freeze()
    _frozen_at = time.monotonic()


@pytest.fixture(scope="session", autouse=True)
def what_is_the_same_each_time_is_done_once() -> Iterator[None]:
    """
    Every client of httpx2 reads the certificates of all authorities, 25 ms of processor: `httpx2.get` is one.

    Every `instrument()` counts what is frozen, a million objects, which is this file's doing and no
    application's: tests of what it says put a number there.
    """
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(httpcore2.default_ssl_context)
        patch.setattr(httpcore2, "default_ssl_context", once)
        patch.setattr(gc, "get_freeze_count", lambda: 0)
        yield


def pytest_configure() -> None:
    """Take SIGINT again where the suite was started in the background: children inherit "ignored"."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Run async tests on asyncio, uvloop and trio."""
    return request.param  # type: ignore[no-any-return]


MAY_BLOCK = (
    # A microsecond's sleep, so that threads have their turn: see there.
    ("llmobs/runtime/time_slices.py", {"give_way"}),
    # Where the store and the spool are, and whether they can be written: some ten looks at the disk
    # of a microsecond each, once, so that a wrong setting is said where it is made.
    ("llmobs/runtime/paths.py", {"check_directory", "check_file", "say_if_relative"}),
    ("llmobs/client/async_client.py", {"_build"}),
    ("llmobs/sinks/sqlite.py", {"__init__"}),
    ("llmobs/sinks/jsonl.py", {"__init__"}),
    # A scheme that is not ours is sought among what is installed.
    ("llmobs/sinks/__init__.py", {"_from_entry_point"}),
    # Certificates, once in a process, where the sink is built: its first request does not wait for them.
    ("llmobs/sinks/_httpclient.py", {"_trust"}),
    # Reading a store says that it blocks; only the command line and tests do.
    ("llmobs/store/reader.py", vars(Reader)),
    ("llmobs/store/reading.py", vars(Reading)),
    # A command of the command line has its loop to itself.
    ("llmobs/cli/spool.py", {"_send", "send"}),
    # Where an application's log lines go is for it to say.
    ("/logging/__init__.py", {"emit"}),
    # Test tools prepare each event at once; clients load the prices in a thread.
    ("llmobs/client/async_client.py", {"_collect"}),
    # These wait, as they say; the dialects have nothing to await. `AsyncClient` has.
    ("llmobs/client/sync_client.py", {"flush", "close"}),
    # What applications under our middleware do is theirs.
    ("/mimetypes.py", {"init"}),
    ("tests/contrib/test_langchain.py", {"_batch"}),
    # A sink that hangs the loop it is given, to see what becomes of it.
    ("tests/processes/test_parts.py", {"send"}),
)
"""What blocks the event loop on purpose, and why that is right: file and functions."""
PACKAGE = str(Path(llmobs.__file__).parent)


@functools.cache
def _may_block(file: str, function: str) -> bool | None:
    """Whether a function may block; None if it is none of llmobs's, nor named above."""
    if any(file.endswith(end) and function in names for end, names in MAY_BLOCK):
        return True
    return False if file.startswith(PACKAGE) else None


def _is_no_trouble(frame: FrameType | None) -> bool:
    """
    Whether what was called there may block.

    blockbuster looks so too, comparing texts for each frame, at each call of a function that may block:
    what is remembered takes a twentieth of that.
    """
    is_ours = False
    while frame is not None:
        may = _may_block(frame.f_code.co_filename, frame.f_code.co_name)
        if may:
            return True
        is_ours = is_ours or may is False
        frame = frame.f_back
    return not is_ours


@pytest.fixture(scope="module", autouse=True)
def blocking_calls_fail(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    What blocks asyncio's event loop inside llmobs fails the test, as in the suites of anyio and Starlette.

    Once for a module, since patching takes twenty milliseconds. The core does; what is beyond it runs
    whole applications, whose own calls block.
    """
    if request.node.nodeid.removeprefix("tests/").startswith(BEYOND_THE_CORE):
        yield
        return
    blockbuster = BlockBuster("llmobs")
    for function in blockbuster.functions.values():

        def may(*args: Any, known: Any = function.can_block_predicate, **options: Any) -> bool:
            return known(*args, **options) or _is_no_trouble(sys._getframe(1))

        function.can_block_predicate = may
    blockbuster.activate()
    yield
    blockbuster.deactivate()
