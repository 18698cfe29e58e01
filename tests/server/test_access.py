"""Who gets into a collector: keys, names, pages of strangers, rates. Against a real server."""

import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess

from llmobs.cli.app import llmobs
from llmobs.codec import NATIVE_TYPE, encode
from llmobs.events import EvaluationEvent, Event
from llmobs.recorded.ids import new_id
from llmobs.server.keys import KeyFile
from llmobs.store.engine import open_reader
from tests.support.polling import eventually
from tests.support.serving import Serving
from tests.support.stores import at, call, write_store


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


def ask(
    server: Serving,
    path: str = "/metrics",
    body: bytes | None = None,
    method: str = "",
    **headers: str,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(
            method or ("GET" if body is None else "POST"), path, body,
            {name.replace("_", "-"): value for name, value in headers.items()},
        )  # fmt: skip
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def raw(server: Serving, request: bytes) -> bytes:
    """Send bytes that no client would, and return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        try:
            connection.sendall(request)
        except OSError:  # it has closed already: that is an answer, too
            return b""
        connection.shutdown(socket.SHUT_WR)
        pieces = []
        try:
            while piece := connection.recv(65536):
                pieces.append(piece)
        except OSError:
            pass
        return b"".join(pieces)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Started as it comes: for this machine."""
    with Serving(tmp_path_factory.mktemp("local") / "llmobs.db", "--access-log", "json") as server:
        yield server


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Started for others, too, with a key."""
    store = tmp_path_factory.mktemp("wide") / "llmobs.db"
    KeyFile(store).add(name="first", project="first")
    with Serving(
        store, "--host", "0.0.0.0", "--allow-host", "collector.example", "--access-log", "json"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def reader(wide: Serving) -> str:
    """A key that may read everything."""
    return wide.key(may=["read"])


BATCH = b'{"events": []}'
WAYS_IN = [
    ("/events/batch", "application/json"),
    ("/v1/events/batch", NATIVE_TYPE),
    ("/projects/p/events", "application/json"),
    *(
        (f"{lead}/v1/{signal}", kind)
        for lead in ("", "/api/public/otel")
        for signal in ("traces", "logs", "metrics")
        for kind in ("application/x-protobuf", "application/json")
    ),
    ("/api/public/ingestion", "application/json"),
    ("/api/public/scores", "application/json"),
    ("/api/public/media", "application/json"),
    ("/v1/evaluations", "application/json"),
    ("/feedback", "application/x-www-form-urlencoded"),
    ("/mcp", "application/json"),
]
"""Every path that takes something, and what it takes."""


class TestThisMachine:
    def test_it_needs_no_key(self, local: Serving) -> None:
        assert ask(local).status == 200

    @pytest.mark.parametrize(
        "header",
        [
            {"authorization": "Bearer sk-lf-of-somebody-else"},
            {"authorization": f"Basic {b64encode(b'pk-lf-1:sk-lf-2').decode()}"},
            {"x_api_key": "lsv2_pt_whatever"},
            {"api_key": ""},
        ],
    )
    def test_keys_of_somebody_else_are_none(self, local: Serving, header: dict[str, str]) -> None:
        """SDKs insist on one, so people give them any."""
        assert ask(local, **header).status == 200

    def test_a_key_of_ours_that_is_wrong_is_refused(self, local: Serving) -> None:
        answer = ask(local, authorization=f"Bearer llmobs_{'a' * 10}_{'b' * 40}")
        assert answer.status == 401
        assert "llmobs keys add" in answer.error["message"]

    def test_a_key_counts_all_the_same(self, local: Serving) -> None:
        key = local.key(project="shop", may=["ingest"])
        assert ask(local, x_api_key=key).status == 403

    @pytest.mark.parametrize(
        "name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host", "Via"]
    )
    def test_what_a_proxy_passes_on_needs_one(self, local: Serving, name: str) -> None:
        """Whoever put a proxy before a server for this machine forgot that everybody comes through it."""
        answer = ask(local, **{name: "203.0.113.7"})
        assert answer.status == 401


class TestOthers:
    def test_nobody_comes_in_without_a_key(self, wide: Serving) -> None:
        for path, body in (("/metrics", None), ("/nowhere", b"x"), ("/nowhere", None)):
            answer = ask(wide, path, body)
            assert answer.status == 401, path
            assert answer.headers["www-authenticate"].startswith("Basic ")
            assert answer.error["field"] == "authorization"
            assert "llmobs keys add" in answer.error["message"]

    @pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
    def test_exporters_are_told_in_their_own_words(self, wide: Serving, signal: str) -> None:
        """``google.rpc.Status``, in the encoding of what they sent."""
        path = f"/any/v1/{signal}"
        answer = ask(wide, path, b"{}", content_type="application/json; charset=utf-8")
        assert (answer.status, answer.headers["content-type"]) == (401, "application/json")
        told = json.loads(answer.body)
        assert told["code"] == 16 and "llmobs keys add" in told["message"]
        assert answer.headers["www-authenticate"].startswith("Basic ")
        answer = ask(wide, path, b"", content_type="application/x-protobuf")
        assert (answer.status, answer.headers["content-type"]) == (401, "application/x-protobuf")
        status = ExportTracePartialSuccess.FromString(answer.body)  # of the same two fields
        assert status.rejected_spans == 16 and "llmobs keys add" in status.error_message
        answer = ask(wide, path, b"{}", origin="https://evil.example")
        assert (answer.status, json.loads(answer.body)["code"]) == (403, 7)

    def test_load_balancers_do(self, wide: Serving) -> None:
        assert ask(wide, "/health", host="anything.example").status == 200
        answer = ask(wide, "/ready")
        assert (answer.status, json.loads(answer.body)) == (200, {"status": "ready"})

    @pytest.mark.parametrize(
        "header",
        [
            lambda key: {"authorization": f"Bearer {key}"},
            lambda key: {"authorization": key},
            lambda key: {"authorization": f"Basic {b64encode(f'pk:{key}'.encode()).decode()}"},
            lambda key: {"x-api-key": key},
            lambda key: {"api-key": key},
        ],
        ids=["bearer", "bare", "basic", "x-api-key", "api-key"],
    )
    def test_a_key_as_sdks_send_it(self, wide: Serving, reader: str, header: Any) -> None:
        assert ask(wide, **header(reader)).status == 200

    def test_what_a_key_may_not(self, wide: Serving, reader: str) -> None:
        answer = ask(wide, "/v1/events/batch", BATCH, x_api_key=reader)
        assert answer.status == 403
        assert "--may ingest" in answer.error["message"]
        sender = wide.key(project="shop", may=["ingest"])
        answer = ask(wide, x_api_key=sender)
        assert answer.status == 403
        assert "--may read" in answer.error["message"]
        shop = wide.key(project="shop", may=["all"])
        answer = ask(wide, x_api_key=shop)
        assert answer.status == 403, "figures of all projects are for keys of all"
        assert "--all-projects" in answer.error["message"]

    def test_evaluations_alone(self, wide: Serving) -> None:
        """On every wire: also what becomes no event shapes a run."""
        headers = {"x_api_key": wide.key(project="shop", may=["evaluate"])}
        native = {**headers, "content_type": NATIVE_TYPE}
        rating = EvaluationEvent(
            event_id=new_id(), run_id="r", timestamp=at(0), name="helpful", score=1.0
        )

        def batch(event: Event) -> bytes:
            return b'{"events": [%s]}' % encode(event)

        assert ask(wide, "/v1/events/batch", batch(rating), **native).status == 200
        assert ask(wide, "/v1/events/batch", batch(call("r")), **native).status == 403
        span = {
            "traceId": "ab" * 16, "spanId": "01" * 8, "name": "GET /", "kind": 2,
            "startTimeUnixNano": "1764000000000000000", "endTimeUnixNano": "1764000001000000000",
        }  # fmt: skip
        spans = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
        otlp = {**headers, "content_type": "application/json"}
        assert ask(wide, "/v1/traces", spans, **otlp).status == 403

        def record(name: str, **attributes: str) -> bytes:
            told = [{"key": key, "value": {"stringValue": v}} for key, v in attributes.items()]
            log = {
                "traceId": "ab" * 16, "spanId": "02" * 8, "eventName": name, "attributes": told,
                "timeUnixNano": "1764000000000000000",
            }  # fmt: skip
            return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]}).encode()

        score = record("gen_ai.evaluation.result", **{"gen_ai.evaluation.name": "helpful"})
        assert ask(wide, "/v1/logs", score, **otlp).status == 200
        for name in ("gen_ai.user.message", "gen_ai.client.inference.operation.details"):
            assert ask(wide, "/v1/logs", record(name), **otlp).status == 403, name
        with open_reader(wide.store) as stored:
            assert {type(e) for e in stored.run("ab" * 16).events} == {EvaluationEvent}
        sender = {**otlp, "x_api_key": wide.key(project="shop", may=["ingest"])}
        assert ask(wide, "/v1/traces", spans, **sender).status == 200

    def test_revoked_within_a_second(self, wide: Serving) -> None:
        key = wide.key(may=["read"])
        assert ask(wide, x_api_key=key).status == 200, "made a moment ago"
        KeyFile(wide.store).revoke(key)
        begun = time.monotonic()
        eventually(lambda: ask(wide, x_api_key=key).status == 401)
        assert time.monotonic() - begun < 1

    def test_two_keys_are_one_too_many(self, wide: Serving, reader: str) -> None:
        other = wide.key(may=["read"])
        assert ask(wide, x_api_key=reader, authorization=f"Bearer {other}").status == 401
        assert ask(wide, x_api_key=reader, authorization=f"Bearer {reader}").status == 200
        assert ask(wide, x_api_key=reader, authorization="Bearer of-somebody-else").status == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "collector.example.evil.example",
            "localhost.evil.example",
            "a b",
            "",
            "[::1",
        ],
    )
    def test_names_it_does_not_answer_to(self, wide: Serving, reader: str, host: str) -> None:
        answer = ask(wide, host=host, x_api_key=reader)
        assert answer.status in (400, 403)
        assert b"gen_ai" not in answer.body

    @pytest.mark.parametrize(
        "host",
        [
            "collector.example",
            "COLLECTOR.example.:443",
            "localhost:1",
            "10.9.8.7",
            "[2001:db8::1]:4318",
        ],
    )
    def test_names_it_answers_to(self, wide: Serving, reader: str, host: str) -> None:
        assert ask(wide, host=host, x_api_key=reader).status == 200

    def test_pages_of_strangers(self, wide: Serving, reader: str) -> None:
        own = f"http://127.0.0.1:{wide.port}"
        assert ask(wide, origin=own, x_api_key=reader).status == 200
        for origin in (
            "https://evil.example",
            "null",
            "http://127.0.0.1:1",
            f"{own}, https://evil.example",
        ):
            answer = ask(wide, origin=origin, x_api_key=reader)
            assert (answer.status, answer.error["field"]) == (403, "origin")
        assert ask(wide, "/v1/events/batch", BATCH, origin="https://evil.example").status == 403

    def test_wrong_keys_come_to_an_end(self, tmp_path: Path) -> None:
        """On every way in, in its own words."""
        KeyFile(tmp_path / "llmobs.db").add(project="p", may=["read"])
        key = KeyFile(tmp_path / "llmobs.db").add(may=["read"])[1]
        with Serving(tmp_path / "llmobs.db", "--host", "0.0.0.0", "--access-log", "off") as server:

            def tried(path: str, kind: str, count: int) -> list[Answer]:
                """Try wrong keys, several at a time: one a second is let in again."""
                wrong = [f"llmobs_{'a' * 10}_{number:040}" for number in range(count)]
                with ThreadPoolExecutor(8) as pool:
                    asked = (
                        pool.submit(ask, server, path, b"", x_api_key=key, content_type=kind)
                        for key in wrong
                    )
                    return [one.result() for one in [*asked]]

            answers = tried("/v1/events/batch", NATIVE_TYPE, 60)
            assert [answer.status for answer in answers].count(401) >= 20
            for path, kind in WAYS_IN:
                found = tried(path, kind, 16)
                assert {answer.status for answer in found} <= {401, 429}, path
                last = [answer for answer in found if answer.status == 429][-1]
                assert int(last.headers["retry-after"]) >= 1
                is_otlp = path.endswith(("/v1/traces", "/v1/logs", "/v1/metrics"))
                assert last.headers["content-type"] == (kind if is_otlp else "application/json")
                if not is_otlp:
                    assert "without a right key" in last.error["message"]
                    continue
                # OTLP's exporters read a status of theirs, and come again.
                code = last.body[1] if "proto" in kind else json.loads(last.body)["code"]
                assert code == 8  # RESOURCE_EXHAUSTED
            assert ask(server, x_api_key=key).status == 200, (
                "who has one is not held up by who has none"
            )
            assert server.accesses == []


class TestBytesNoClientSends:
    @pytest.mark.parametrize(
        "lines",
        [
            b"Host: localhost\r\nHost: evil.example",
            b"Host: localhost, evil.example",
            b"Host: localhost\r\n Host: evil.example",
            b"Host : localhost",
            b"Host: localhost\x00.evil.example",
            b"Host: \xff\xfe",
            b"Host: " + b"a" * 70_000,
            b"Host: evil.example\r\nX-Forwarded-Host: localhost",
        ],
    )
    def test_several_and_odd_hosts(self, local: Serving, lines: bytes) -> None:
        answer = raw(local, b"GET /metrics HTTP/1.1\r\n" + lines + b"\r\nConnection: close\r\n\r\n")
        assert not answer.startswith(b"HTTP/1.1 200")
        assert b"gen_ai" not in answer

    def test_an_absolute_target_is_no_way_around(self, local: Serving) -> None:
        answer = raw(
            local,
            b"GET http://localhost/metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        )
        assert b" 200 " not in answer.partition(b"\r\n")[0]

    def test_an_open_path_is_no_way_around(self, wide: Serving) -> None:
        for path in (
            "/health/../metrics",
            "//health/..//metrics",
            "/health%2f..%2fmetrics",
            "/metrics/",
            "/METRICS",
        ):
            answer = raw(
                wide,
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(),
            )
            assert answer.partition(b"\r\n")[0] != b"HTTP/1.1 200 OK", path
            assert b"gen_ai" not in answer and b"llmobs_" not in answer, path

    def test_before_there_were_hosts(self, local: Serving) -> None:
        answer = raw(local, b"GET /health HTTP/1.0\r\n\r\n")
        assert b"200 OK" in answer.partition(b"\r\n")[0]

    def test_huge_headers(self, wide: Serving) -> None:
        for header in (
            b"Authorization: Bearer ",
            b"X-Api-Key: ",
            b"Authorization: Basic ",
            b"Origin: http://",
        ):
            answer = raw(
                wide,
                b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
                + header
                + b"k" * 60_000
                + b"\r\n\r\n",
            )
            assert b" 200 " not in answer.partition(b"\r\n")[0]
        assert ask(wide, "/health").status == 200

    def test_thousands_of_headers(self, wide: Serving) -> None:
        many = b"".join(b"X-Api-Key: k%d\r\n" % n for n in range(3_000))
        answer = raw(wide, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n")
        assert b" 200 " not in answer.partition(b"\r\n")[0]
        assert ask(wide, "/health").status == 200

    def test_nothing_is_put_into_an_answer_or_the_log(self, local: Serving) -> None:
        secret = "s3cr3t-of-the-query"
        for path in (
            f"/nowhere/{secret}",
            f"/metrics?token={secret}",
            f"/%0d%0aX-Evil:%20{secret}",
        ):
            answer = ask(local, path, x_trace=secret, user_agent=secret)
            assert secret not in f"{answer.headers}{answer.body!r}"
            assert "x-evil" not in answer.headers
        raw(local, f"{secret.upper()} /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        ask(local, "/last")
        eventually(lambda: any(line["route"] == "-" for line in local.access_log()))
        assert secret not in "".join(local.accesses + local.lines)


def test_the_log(local: Serving) -> None:
    before = len(local.lines)
    ask(local, "/v1/events/batch?token=1", BATCH)
    (line,) = eventually(
        lambda: [
            line for line in local.access_log()[before:] if line["route"] == "/v1/events/batch"
        ]
    )
    assert set(line) == {
        "time",
        "method",
        "route",
        "status",
        "ms",
        "bytes",
        "sent",
        "events",
        "key",
    }
    assert (line["method"], line["bytes"], line["key"]) == ("POST", len(BATCH), None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_output_that_nobody_reads_holds_up_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "llmobs",
        "serve",
        "--store",
        str(tmp_path / "llmobs.db"),
        "--port",
        "0",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        found = re.search(r"listening on http://\S*:(\d+)", process.stderr.readline())
        assert found is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
        for _ in range(1_500):  # a pipe holds 64 KB
            connection.request("GET", "/health")
            assert connection.getresponse().read()
        connection.close()
        process.terminate()
        assert process.wait(20) == 0


def test_no_key_and_no_hash_anywhere(tmp_path: Path) -> None:
    store = tmp_path / "llmobs.db"
    file = KeyFile(store)
    key, text = file.add(may=["read"])
    secret = text.rpartition("_")[2]
    with Serving(store, "--host", "0.0.0.0") as server:
        answers = [
            ask(server, authorization=f"Bearer {text}"),
            ask(server, authorization=f"Bearer {text}x"),
            ask(server, f"/nowhere/{text}?key={text}", x_api_key=text),
            ask(server, "/v1/events/batch", BATCH, x_api_key=text),
        ]
        file.path.write_text("damaged" + text)
        assert eventually(lambda: (a := ask(server, x_api_key=text)).status == 503 and a).headers[
            "retry-after"
        ]
        command = (
            Path(f"/proc/{server.process.pid}/cmdline").read_bytes() if os.name == "posix" else b""
        )
    told = "".join(map(str, answers)) + "".join(server.accesses + server.lines) + repr(command)
    assert "damaged" in told, "the trouble is said"
    assert secret not in told
    assert key.hash not in told
    assert f"key {key.id}" in "".join(server.accesses)


class TestStarting:
    def refused(self, store: Path, *arguments: str) -> str:
        done = CliRunner().invoke(
            llmobs, ["serve", "--store", str(store), "--port", "0", *arguments]
        )
        assert done.exit_code in (1, 2), done
        assert not store.exists()
        return done.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--host", "0.0.0.0"), "listening on 0.0.0.0 lets others in"),
            (("--allow-host", "collector.example"), "--allow-host lets others in"),
            (("--trust-proxy", "127.0.0.1"), "--trust-proxy lets others in"),
        ],
    )
    def test_others_without_a_key(
        self, tmp_path: Path, arguments: tuple[str, ...], words: str
    ) -> None:
        said = self.refused(tmp_path / "llmobs.db", *arguments)
        assert words in said and "llmobs keys add" in said and "--insecure" in said

    def test_a_revoked_key_is_none(self, tmp_path: Path) -> None:
        file = KeyFile(tmp_path / "llmobs.db")
        file.revoke(file.add(project="p")[0].id)
        assert "no key" in self.refused(tmp_path / "llmobs.db", "--host", "0.0.0.0")

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--allow-host", "https://a.example"), ("--trust-proxy", "proxy"), ("--rate-limit", "fast"),
            ("--retain", "30"), ("--retain", "0d"), ("--max-size", "big"), ("--max-size", "5"),
        ],
    )  # fmt: skip
    def test_wrong_options_are_named(self, tmp_path: Path, arguments: tuple[str, str]) -> None:
        assert arguments[0] in self.refused(tmp_path / "llmobs.db", *arguments)

    def test_damaged_keys(self, tmp_path: Path) -> None:
        (tmp_path / "llmobs.db.keys").write_text("{")
        assert "llmobs.db.keys are damaged" in self.refused(tmp_path / "llmobs.db")

    def test_insecure(self, tmp_path: Path) -> None:
        with Serving(tmp_path / "llmobs.db", "--host", "0.0.0.0", "--insecure") as server:
            assert ask(server, x_forwarded_for="1.2.3.4").status == 200
            assert ask(server, host="evil.example").status == 403, "rebinding is another matter"


def test_proxies_and_rates(tmp_path: Path) -> None:
    store = tmp_path / "llmobs.db"
    first, second = (KeyFile(store).add(may=["read"])[1] for _ in range(2))
    with Serving(store, "--trust-proxy", "127.0.0.0/8", "--rate-limit", "60/m") as server:
        # Each key has a bucket of its own, of two.
        statuses = [ask(server, "/nowhere", x_api_key=first).status for _ in range(4)]
        assert statuses[:2] == [404, 404] and 429 in statuses
        answer = ask(server, "/nowhere", x_api_key=first)
        if answer.status == 429:
            assert int(answer.headers["retry-after"]) >= 1
        assert ask(server, "/nowhere", x_api_key=second).status == 404
        # Addresses that the proxy tells: what it was told itself stands further left, and is not believed.
        wrong = f"llmobs_{'a' * 10}_{'b' * 40}"
        for n in range(25):
            ask(server, x_api_key=wrong, x_forwarded_for=f"10.0.0.{n}, 203.0.113.7")
        assert ask(server, x_api_key=wrong, x_forwarded_for="203.0.113.7").status == 429
        assert ask(server, x_api_key=wrong, x_forwarded_for="203.0.113.8").status == 401


def test_figures(tmp_path: Path) -> None:
    calls = [
        call(f"r{n}", model=f"model-{n % 300}", tokens_input=10, tokens_output=5, cost_usd=0.5, latency_ms=100.0,
             time_to_first_token_ms=20.0)
        for n in range(600)
    ]  # fmt: skip
    odd = call("odd", model='a"b\n\\c\u202e', tokens_input=1, tokens_output=1, latency_ms=3e6)
    store = write_store(
        tmp_path / "llmobs.db", [*calls, odd, call("failed", model="model-1", status="error")]
    )
    with Serving(store, "--access-log", "off") as server:
        answer = ask(server)
        text = answer.body.decode()
        assert answer.headers["content-type"].startswith("text/plain")
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(text)}
    tokens = [s for s in families["gen_ai_client_token_usage"].samples if s.name.endswith("_sum")]
    models = {sample.labels["gen_ai_request_model"] for sample in tokens}
    assert "other" in models and len(models) <= 201
    total = sum(s.value for s in tokens if s.labels["gen_ai_token_type"] == "input")
    assert total == 6001
    assert sum(s.value for s in families["llmobs_cost_usd"].samples) == 300
    durations = families["gen_ai_client_operation_duration_seconds"].samples
    counted = sum(s.value for s in durations if s.name.endswith("_count"))
    assert counted == 601, "failed ones took no time that says anything"
    at = {
        s.labels["le"]: s.value
        for s in durations
        if s.labels.get("gen_ai_request_model") == "model-1" and s.name.endswith("_bucket")
    }
    assert at["0.08"] == 0 and at["0.16"] == at["+Inf"] == 2
    failed = [s for s in families["llmobs_calls"].samples if s.labels["outcome"] == "failed"]
    assert sum(s.value for s in failed) == 1
    assert families["llmobs_store_up"].samples[0].value == 1
    assert {
        f"llmobs_{n}"
        for n in ("events_stored", "events_refused", "queue_events", "queue_bytes", "store_bytes")
    } <= set(families)


def test_not_ready_when_the_store_cannot_be_written(tmp_path: Path) -> None:
    store = tmp_path / "llmobs.db"
    with Serving(store, "--access-log", "off") as server:
        assert ask(server, "/ready").status == 200
        for version, status in ((999, 503), (None, 200)):  # as a newer llmobs would leave it
            with closing(sqlite3.connect(store)) as connection:
                if status == 503:
                    (before,) = connection.execute("PRAGMA user_version").fetchone()
                connection.execute(f"PRAGMA user_version = {version or before}")
            answer = eventually(lambda: (a := ask(server, "/ready")).status == status and a)  # noqa: B023
            assert str(tmp_path) not in answer.body.decode()
            assert ask(server, "/health").status == 200
