"""The page of a run: a conversation that can be read, a tree whose parents are on other pages, and handing it on."""

import json
from pathlib import Path

import pytest

from llmobs.answers.run import run as ask_run
from llmobs.events import AgentStepEvent, ErrorInfo, EvaluationEvent, Event, ToolCallEvent
from llmobs.viewer.page import Page
from llmobs.viewer.run import event_page, run_page, text_page
from tests.support.stores import at, call, run
from tests.viewer.test_pages import HOSTILE, SITE, asked, read, stored

ANSWER = """Two places:

1. **Casa** ![x](https://evil.example/x.png)

```python
if a < b:
    go()
```

[click](javascript:alert(1)) <b>now</b>"""


def test_an_answer_is_read_as_paragraphs_and_code(tmp_path: Path) -> None:
    data = json.dumps({"rooms": [{"price": 120}]})
    with stored(tmp_path, [call("r", prompt=data, response=ANSWER)]) as store:
        made = run_page(store, asked(), SITE, run_id="r")
    page = read(made)
    assert '<pre class="code" dir="auto">if a &lt; b:\n    go()</pre>' in made.html
    assert '"price": 120' in page.text  # JSON in lines
    assert "![x](https://evil.example/x.png)" in page.text and "<b>now</b>" in page.text
    assert not {tag for tag, _ in page.elements} & {"img", "b", "script"}
    assert not [link for link in page.links if "evil" in link or "javascript" in link]


MARKDOWN = """# Tea

- **one** `leaf`
- <i>two</i>

0. second

> said

| a | b |
|---|---|
| [x](javascript:alert(1)) | [REDACTED_EMAIL] |

---
*so*"""


def test_markdown_is_read_and_nothing_of_it_is_html_or_a_link(tmp_path: Path) -> None:
    with stored(tmp_path, [call("r", event_id="e", prompt="-", response=MARKDOWN)]) as store:
        made = (
            run_page(store, asked(), SITE, run_id="r"),
            event_page(store, asked(), SITE, event_id="e"),
        )
    for each in made:
        page = read(each)
        page.check_harmless()
        names = [tag for tag, _ in page.elements]
        listed = [
            tag for tag, a in page.elements if tag in ("ul", "ol") and a.get("class") == "prose"
        ]
        assert listed == ["ul", "ol"]
        for tag, count in {"blockquote": 1, "table": 1, "th": 2, "td": 2, "hr": 1, "em": 1}.items():
            assert names.count(tag) == count, tag
        assert '<p class="prose heading-1" dir="auto">Tea</p>' in each.html
        assert "<strong>one</strong> <code>leaf</code>" in each.html and 'start="0"' in each.html
        assert "i" not in names and "<i>two</i>" in page.text
        assert "[x](javascript:alert(1))" in page.text
        assert not [link for link in page.links if "javascript" in link]
        assert '<mark class="redacted">[REDACTED_EMAIL]</mark>' in each.html


def test_what_was_redacted_or_cut_is_marked(tmp_path: Path) -> None:
    said = (
        "Mail [REDACTED_EMAIL] and [CC_1] of card [REDACTED_CC_1111]... 4,210 characters left out"
    )
    with stored(tmp_path, [call("r", prompt=said, response="a [LIST] [x_1]")]) as store:
        page = read(run_page(store, asked(), SITE, run_id="r"))
    marks = [a["class"] for tag, a in page.elements if tag == "mark"]
    assert marks == ["redacted", "redacted", "redacted", "cut"]
    assert said in page.text


def test_tools_reasoning_and_pictures_are_named_and_folded(tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "QUJD" * 400}}
    remote = {"type": "image_url", "image_url": {"url": "https://evil.example/x.png"}}
    asks = {"role": "assistant", "parts": [
        {"type": "reasoning", "content": "I look on the shelf."},
        {"type": "tool_call", "id": "c1", "name": "shelf", "arguments": {"row": 3}},
    ]}  # fmt: skip
    told = {"role": "tool", "tool_call_id": "c1", "content": '{"tea": "Assam"}'}
    prompt = [{"role": "user", "content": [{"type": "text", "text": "See:"}, picture, remote]}]
    events = [call("r", prompt=prompt, response=[asks]), call("r", 1, prompt=[*prompt, asks, told])]
    with stored(tmp_path, events) as store:
        page = read(run_page(store, asked(), SITE, run_id="r"))
    for words in ("I look on the shelf.", '"row": 3', '"tea": "Assam"', "image/png 1,200 bytes",
                  "https://evil.example/x.png"):  # fmt: skip
        assert words in page.text, words
    assert not any("evil" in value for _, a in page.elements for value in a.values())
    folded = [a.get("class") for tag, a in page.elements if tag == "details"]
    assert {"other", "call", "result"} <= set(folded)


def test_where_a_price_came_from_and_what_else_is_known_is_told(tmp_path: Path) -> None:
    events = [
        call(
            "r", 2, event_id="e", cost_usd=0.5, cost_source="genai-prices 0.2.3", attempt=2,
            model_version="gpt-4o-2026", time_to_first_token_ms=250.0, latency_ms=1250.0,
            tokens_output=100, request_params={"temperature": 0.25}, metadata={"shelf": "left"},
            response_id="resp-17", trace_id="t", prompt_template_id="tea-v2",
        ),
        run("r", trace_id="t"),
        run("other", trace_id="t", name="GET /front", service_name="front"),
        run("stranger", trace_id="u", name="GET /stranger"),
    ]  # fmt: skip
    with stored(tmp_path, events) as store:
        page = read(run_page(store, asked(), SITE, run_id="r"))
        whole = read(event_page(store, asked(), SITE, event_id="e"))
    text = " ".join(page.text.split())
    for words in ("price from genai-prices 0.2.3", "attempt 2", "gpt-4o-2026", "100 tokens/s", "tea-v2",
                  "first token after 2.25 s", "GET /front front"):  # fmt: skip
        assert words in text, words
    assert "/llmobs/runs/other" in page.links and "stranger" not in text
    for words in ("resp-17", '"temperature": 0.25', '"shelf": "left"', "OPENAI_API_KEY" * 0):
        assert words in whole.text
    assert "curl" in whole.text and "$API_KEY" in whole.text


def deep(count: int) -> list[Event]:
    """A tree: e0 holds every tenth step, and these what follows."""
    events: list[Event] = []
    for n in range(count):
        parent = None if n == 0 else "e0" if n % 10 == 1 else f"e{(n - 2) // 10 * 10 + 1}"
        events.append(
            AgentStepEvent(
                event_id=f"e{n}", run_id="r", timestamp=at(n / 100), step_name=f"step {n}",
                parent_id=parent, latency_ms=5.0,
            )
        )  # fmt: skip
    return events


def test_what_a_page_of_a_tree_happened_inside_is_named_on_it(tmp_path: Path) -> None:
    seen: list[str] = []
    with stored(tmp_path, [*deep(57), run("r")]) as store:
        address: str | None = "/llmobs/runs/r?limit=8"
        while address is not None:
            page = read(run_page(store, asked(address), SITE, run_id="r"))
            shown = [a["id"] for tag, a in page.elements if tag == "article"]
            depths = [a["class"] for tag, a in page.elements if "depth-" in a.get("class", "")]
            elsewhere = sum("elsewhere" in each for each in depths)
            assert len(depths) == len(shown) + elsewhere
            if seen:  # at least the root is on the first page
                assert depths[0] == "depth-0 elsewhere" and "/llmobs/events/e0" in page.links
                assert "step 0" in page.text and "on another page" in page.text
                inner = [each for each in depths if "elsewhere" not in each]
                assert inner and all(each in ("depth-1", "depth-2") for each in inner)
            seen += shown
            address = page.link("next")
    assert sorted(seen) == sorted(f"e-e{n}" for n in range(57))


def test_events_that_claim_to_be_inside_each_other_across_pages_do_no_harm(tmp_path: Path) -> None:
    events = [
        ToolCallEvent(
            event_id=f"e{n}", run_id="r", timestamp=at(n), tool_name="t", parent_id=f"e{(n + 1) % 9}"
        )
        for n in range(9)
    ]  # fmt: skip
    stranger = ToolCallEvent(event_id="x", run_id="q", timestamp=at(0), tool_name="theirs")
    lost = call("r", 20, event_id="lost", parent_id="x")
    with stored(tmp_path, [*events, stranger, lost]) as store:
        found = ask_run(store, asked("?limit=3"), "r")
        assert {each.event_id for each in found.around} == {f"e{n}" for n in range(3, 9)}
        read(run_page(store, asked("?limit=3"), SITE, run_id="r"))
        last = ask_run(store, asked("?cursor=e8"), "r")
        assert (last.around, [each.event_id for each in last.events]) == ([], ["lost"])


def test_after_the_last_event_there_is_none_and_the_page_says_so(tmp_path: Path) -> None:
    with stored(tmp_path, [call("r", event_id="e"), run("r")]) as store:
        for cursor in ("e", "unknown"):
            page = read(run_page(store, asked(f"?cursor={cursor}"), SITE, run_id="r"))
            assert "No event comes after this one" in page.text
            assert "/llmobs/runs/r" in page.links


def test_a_run_is_told_as_a_text(tmp_path: Path) -> None:
    events = [
        *deep(3),
        call("r", 5, event_id="c", prompt="Which tea?", response="Assam", tokens_input=3,
             tokens_output=1, cost_usd=0.25, parent_id="e0", latency_ms=10.0),
        call("r", 6, status="error", error=ErrorInfo("off", type="OffError"), prompt="x" * 9_000),
        EvaluationEvent(event_id="v", run_id="r", timestamp=at(7), name="taste", score=0.5, source="user"),
        run("r", status="success", user_id="ada"),
    ]  # fmt: skip
    with stored(tmp_path, events) as store:
        made: Page = text_page(store, asked(), SITE, run_id="r")
        cut = text_page(store, asked("?limit=2"), SITE, run_id="r")
    assert made.type == "text/plain; charset=utf-8"
    for words in ("POST /chat: success", "user ada", "evaluation taste: 0.5, by user", "Which tea?",
                  "Assam", "failed: OffError: off", "7,000 characters more", "  step 0 step 2"):  # fmt: skip
        assert words in made.html, words
    assert "... and 4 events more" in cut.html


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_text_holds_nothing_that_commands_a_terminal(tmp_path: Path, hostile: str) -> None:
    error = ErrorInfo(hostile, type=hostile, stack=hostile)
    events = [
        call("r", prompt=hostile, response=hostile, model=hostile, status="error", error=error),
        run("r", name=hostile, user_id=hostile, tags=(hostile,), status=hostile),
    ]
    with stored(tmp_path, events) as store:
        made = text_page(store, asked(), SITE, run_id="r")
    assert not set("\x00\x1b\u202e\u2066\ud800\r") & set(made.html)
