"""The page that shows how to send from anything shows what the real SDKs ran."""

import re

import pytest

from tests.senders.environments import APPS, ROOT, SENDERS

PAGE = (ROOT / "docs" / "how-to" / "send-from-anything.md").read_text()
BLOCKS = re.findall(
    r"<!-- not run: tests/senders/apps/(\S+) runs it -->\n```\w+\n(.*?)^```$", PAGE, re.S | re.M
)
ADDRESS = "http://127.0.0.1:4318"


def lines_of(code: str) -> set[str]:
    """Return the lines of *code*, as they are where the collector is where it is by default."""
    code = code.replace('f"{asking.collector()}', f'"{ADDRESS}').replace(
        "asking.collector()", f'"{ADDRESS}"'
    )
    code = re.sub(r"`\$\{process\.env\.COLLECTOR_URL\}(.*?)`", rf'"{ADDRESS}\1"', code)
    return {line.partition("  # ")[0].strip() for line in code.splitlines()}


@pytest.mark.parametrize(("app", "block"), BLOCKS, ids=[app for app, _ in BLOCKS])
def test_every_line_is_one_that_ran(app: str, block: str) -> None:
    ran = lines_of((APPS / app).read_text())
    assert lines_of(block) <= ran, lines_of(block) - ran


def test_every_sender_is_on_the_page_with_its_version() -> None:
    shown = {app for app, _ in BLOCKS}
    for sender in SENDERS.values():
        assert sender.app in shown or sender.app == "openai_v2_app.py"
        _, version = re.split("==|(?<=.)@", sender.packages[0])
        assert re.sub(r"\.\d+$", "", version) in PAGE, sender.packages[0]
