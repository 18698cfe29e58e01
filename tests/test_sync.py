"""llmobs.client.sync_client: the client for threads and scripts."""

import inspect
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import llmobs
from llmobs import Client, ConfigurationError, DeliveryError, DeliveryTimeoutError
from llmobs.errors import SinkRejectedError, SinkUnavailableError
from tests.helpers import ScriptedSink, llmobs_threads, make_event, poll


def log(client: Client, count: int = 1) -> list[str]:
    return [client.log_prompt_call("r", "p", "m", "a", 1, 1, 1) for _ in range(count)]


def test_the_thread_starts_with_the_first_event_and_ends_with_close() -> None:
    sink = ScriptedSink()
    client = Client(sink=sink)
    assert llmobs_threads() == []
    ids = log(client, 3)
    poll(llmobs_threads)
    client.close()
    assert llmobs_threads() == []
    assert sink.ids == ids


def test_the_context_manager_closes() -> None:
    with Client(sink=(sink := ScriptedSink())) as client:
        log(client)
    assert len(sink.events) == 1
    log(client)
    assert client.statistics().dropped == {"closed": 1}
    client.close()
    with client:
        log(client)
    assert len(sink.events) == 2


def test_a_client_can_be_entered_again_and_works_as_before() -> None:
    sink = ScriptedSink()
    client = Client(sink=sink, flush_interval_seconds=0.05)
    for round_ in (1, 2, 3):
        with client:
            client.log_error("r", "first")
            poll(lambda r=round_: len(sink.events) == 2 * r - 1)
            client.log_error("r", "second")  # after a moment with nothing to do
    assert len(sink.events) == 6
    assert client.statistics().dropped == {}


def test_sending_with_a_closed_client_is_an_error() -> None:
    client = Client(sink=(sink := ScriptedSink()))
    client.close()
    with pytest.raises(DeliveryError, match="closed") as caught:
        client.send(make_event())
    assert caught.value.reason == "closed"
    assert (client.statistics().dropped, sink.events) == ({"closed": 1}, [])


def test_flush_reports_and_returns_at_its_deadline() -> None:
    sink = ScriptedSink()
    with Client(sink=sink, flush_interval_seconds=60) as client:
        log(client, 5)
        report = client.flush()
        assert (report.delivered, report.complete) == (5, True)
        sink.script = [SinkUnavailableError("down")] * 100_000
        log(client)
        assert client.flush(0.05).pending == 1
        sink.script.clear()


def test_flush_of_nothing_starts_nothing() -> None:
    client = Client(sink=ScriptedSink())
    assert client.flush().complete
    assert llmobs_threads() == []


def test_recording_from_many_threads() -> None:
    with Client(sink=(sink := ScriptedSink())) as client:
        threads = [threading.Thread(target=log, args=(client, 500)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(sink.ids)) == 4_000


def test_send_waits_and_says_why() -> None:
    sink = ScriptedSink([SinkRejectedError("unknown model")])
    with Client(sink=sink, shutdown_timeout=0.1) as client:
        with pytest.raises(DeliveryError, match="unknown model"):
            client.send(make_event())
        client.send(make_event())
        assert len(sink.events) == 1
        sink.script = [SinkUnavailableError("down")] * 100_000
        with pytest.raises(DeliveryTimeoutError):
            client.send(make_event(), timeout=0.05)


def test_one_setting_object_serves_many_clients() -> None:
    settings = llmobs.Settings(sink="memory:", batch_size=7)
    assert Client(settings).settings is settings
    other = Client(settings, batch_size=8)
    assert (other.settings.batch_size, other.settings.sink) == (8, "memory:")


def test_disabled_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Client(enabled=False) as client:
        log(client)
        client.send(make_event())
        assert client.flush().complete
        assert llmobs_threads() == []
    assert list(tmp_path.iterdir()) == []


def test_the_default_client_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOBS_SINK", f"jsonl:///{tmp_path}/runs.jsonl")
    monkeypatch.setattr("llmobs.client.sync_client._default", None)
    with llmobs.run("run-1") as run:
        run.log_error("boom")
    llmobs.default_client().close()
    assert (tmp_path / "runs.jsonl").read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("sink", "words"),
    [
        ("nonsense", "is not a URL; for instance sqlite:///llmobs.db"),
        ("gopher://x", "no sink for 'gopher'; known schemes are"),
        ("sqlite://host/x.db", "three slashes"),
        ("sqlite:x.db", "three slashes"),
        ("sqlite:///", "three slashes"),
        ("sqlite:///x.db?mode=fast", "no such option 'mode'"),
        ("memory: jsonl:", "three slashes"),
        (42, "int is neither a URL nor a Sink"),
    ],
)
def test_a_wrong_sink_is_named_with_the_way_out(sink: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words.replace("?", r"\?")) as caught:
        Client(sink=sink)
    assert "LLMOBS_SINK" in str(caught.value)


def test_secrets_in_a_wrong_sink_are_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client(sink="gopher://s3cret@host/path?password=s3cret")
    assert "s3cret" not in str(caught.value)


def test_importing_is_cheap_and_brings_no_extra() -> None:
    code = (
        "import sys, llmobs; "
        "bad = {'httpx2','aiokafka','starlette','fastapi','django','openai','anthropic','pydantic',"
        "'langchain_core','opentelemetry','sqlite3','click','rich','genai_prices','anyio'} & set(sys.modules); "
        "import threading; print(sorted(bad), threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] 1"


def test_the_module_s_run_takes_what_a_client_s_takes() -> None:
    of_client = dict(inspect.signature(Client.run).parameters)
    del of_client["self"]
    assert list(inspect.signature(llmobs.run).parameters.values()) == list(of_client.values())
