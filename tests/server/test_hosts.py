"""Which names the collector answers to, and whose pages may send to it."""

import pytest

from llmobs.contrib._web.hosts import Authority, Hosts
from llmobs.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [
        ("localhost", "localhost", None), ("LOCALHOST:4318", "localhost", 4318), ("localhost.", "localhost", None),
        ("127.0.0.1:4318", "127.0.0.1", 4318), ("[::1]:4318", "::1", 4318), ("[0:0::1]", "::1", None),
        ("Collector.Example.com.:80", "collector.example.com", 80), ("my_service:1", "my_service", 1),
        ("a.b.:65535", "a.b", 65535), ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
    ],
)  # fmt: skip
def test_authorities(text: str, name: str, port: int | None) -> None:
    assert Authority.parse(text) == (name, port)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ":", ":80", "a:", "a:b", "a:99999", "a:123456", "a b", "a,b", "a\tb", "a\r\nb: c", "a/b", "a@b",
        "user:pass@a", "http://a", "[::1", "::1", "[::1]x", "[::1%eth0]", "[fe80::1%25eth0]:80", "[1.2.3.4]", "[g]",
        "bücher.example", "a\x00b", ".", "..", "a..b", "-", ".a", "a" * 300, "[" + ":" * 40 + "]", "\uff4cocalhost",
        "a:8\u0660",
    ],
)  # fmt: skip
def test_no_authorities(text: str) -> None:
    assert Authority.parse(text) is None


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:4318", "localhost.", "app.localhost:1", "127.0.0.1", "127.9.9.9:1", "[::1]:4318",
        "10.0.0.7:4318", "[2001:db8::1]", "collector.example", "COLLECTOR.example.:443", "a.shop.example",
        "a.b.shop.example",
    ],
)  # fmt: skip
def test_what_it_answers_to(host: str) -> None:
    found = Authority.parse(host)
    assert found is not None
    assert Hosts(["collector.example", "*.shop.example"]).knows(found)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "collector.example.evil.example", "xcollector.example", "shop.example", "evilshop.example",
        "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.nip.io", "127.1", "0x7f000001", "2130706433",
        "0177.0.0.1", "127.0.0.1.", "notlocalhost", "1.2.3.4.5",
    ],
)  # fmt: skip
def test_what_it_does_not_answer_to(host: str) -> None:
    found = Authority.parse(host)
    # Browsers write odd addresses out before they ask; what is none in the one usual form is a name.
    assert (
        found is None
        or host == "127.0.0.1."
        or not Hosts(["collector.example", "*.shop.example"]).knows(found)
    )


def test_any_name() -> None:
    assert Hosts(["*"]).knows(Authority("evil.example", None))
    assert Hosts(["*"]).has_names and Hosts(["a"]).has_names and not Hosts().has_names


@pytest.mark.parametrize(
    "name", ["", "https://a.example", "a.example:443", "*.", "a b", "*.*.a", "a*", "/"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigurationError, match="--allow-host"):
        Hosts([name])


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://localhost:4318", "localhost:4318", True),
        ("http://[::1]:4318", "[::1]:4318", True),
        ("https://collector.example", "collector.example", True),  # TLS ends at a proxy
        ("https://collector.example:443", "collector.example", True),
        ("https://collector.example:8443", "collector.example:8443", True),
        ("HTTP://LOCALHOST:4318", "localhost:4318", True),
        ("http://collector.example", "collector.example:80", True),
        ("http://localhost:3000", "localhost:4318", False),  # another program of this machine's
        ("http://127.0.0.1:4318", "localhost:4318", False),
        ("http://evil.example", "127.0.0.1:4318", False),
        ("https://collector.example:8443", "collector.example", False),
        ("null", "localhost:4318", False),
        ("", "localhost:4318", False),
        ("http://", "localhost:4318", False),
        ("http://localhost:4318/path", "localhost:4318", False),
        ("http://evil.example@localhost:4318", "localhost:4318", False),
        ("http://localhost:4318, http://evil.example", "localhost:4318", False),
        ("chrome-extension://abcdef", "abcdef", False),
        ("file://", "localhost", False),
    ],
)  # fmt: skip
def test_own_pages(origin: str, host: str, own: bool) -> None:
    found = Authority.parse(host)
    assert found is not None
    assert Hosts().is_own_page(origin, found) is own
