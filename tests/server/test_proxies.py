"""The blocks of docs/how-to/serve.md that configure a proxy, run by the proxies themselves."""

import http.client
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llmobs.server.keys import KeyFile
from tests.support.certificates import make_certificates
from tests.support.debian import Unavailable, program
from tests.support.polling import eventually
from tests.support.ports import free_ports
from tests.support.serving import Serving
from tests.test_docs_run import ROOT, blocks_of

NAME = "collector.example.com"
PAGE = ROOT / "docs" / "how-to" / "serve.md"


def block(language: str, server: Serving, **changes: str) -> str:
    (code,) = [found.code for found in blocks_of(PAGE) if found.language == language]
    for old, new in {"127.0.0.1:4318": f"127.0.0.1:{server.port}", **changes}.items():
        assert old in code
        code = code.replace(old, new)
    return code


def installed(name: str, package: str) -> str:
    try:
        return program(name, package)
    except Unavailable as error:
        pytest.skip(str(error))


@contextmanager
def running(*command: str | Path) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """As the page's unit starts it."""
    store = tmp_path_factory.mktemp("proxied") / "llmobs.db"
    KeyFile(store).add(project="p")
    options = ("--allow-host", NAME, "--trust-proxy", "127.0.0.1", "--trust-proxy", "::1")
    with Serving(store, *options, "--access-log", "json") as found:
        yield found


def statuses(
    connect: type[http.client.HTTPConnection],
    port: int,
    server: Serving,
    me: str,
    **context: object,
) -> None:
    """What comes through a proxy at *port* is told apart by who sent it to the proxy."""

    def ask(**headers: str) -> int:
        connection = connect("127.0.0.1", port, timeout=10, source_address=(me, 0), **context)  # type: ignore[arg-type]
        try:
            connection.request("GET", "/metrics", headers={"host": f"{NAME}:{port}", **headers})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def answers() -> bool:
        try:
            return ask() != 502
        except OSError:
            return False

    eventually(answers, what="the proxy's start")
    key = {"x-api-key": server.key(may=["read"])}
    assert ask() == 401, "everybody comes from 127.0.0.1"
    assert ask(**key) == 200
    assert ask(**key, origin="https://evil.example") == 403
    # It adds the address that asked it; who says another one is not believed, and so has no bucket of his own.
    wrong = f"llmobs_{'a' * 10}_{'b' * 40}"
    found = [ask(**{"x-api-key": wrong, "x-forwarded-for": f"203.0.113.{n}"}) for n in range(30)]
    assert 429 in found
    assert ask(**key) == 200


@pytest.mark.servers
def test_nginx(server: Serving, tmp_path: Path) -> None:
    nginx = installed("nginx", "nginx-light")
    (port,) = free_ports(1)
    certificates = make_certificates(tmp_path / "tls")
    site = block(
        "nginx", server,
        **{
            "443": f"127.0.0.1:{port}",
            "/etc/ssl/collector.pem": str(certificates.server),
            "/etc/ssl/collector.key": str(certificates.server_key),
        },
    )  # fmt: skip
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary} {site} }}"
    )
    tmp_path.chmod(0o755)
    context = certificates.client_context(with_certificate=False)
    context.check_hostname = False
    with running(nginx, "-p", tmp_path, "-c", configuration):
        statuses(http.client.HTTPSConnection, port, server, "127.0.0.2", context=context)


@pytest.mark.servers
def test_caddy(server: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caddy = installed("caddy", "caddy")
    (port,) = free_ports(1)
    # Without a certificate from the Internet.
    site = block("caddy", server, **{NAME: f"http://{NAME}:{port}"})
    configuration = tmp_path / "Caddyfile"
    configuration.write_text(f"{{\n    admin off\n    auto_https off\n}}\n{site}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with running(caddy, "run", "--adapter", "caddyfile", "--config", configuration):
        statuses(http.client.HTTPConnection, port, server, "127.0.0.3")
