"""
Write the reference pages that are made from the code: API, JSON API, settings, events, drop reasons, privacy,
what is captured.

Run ``python docs/generate.py`` after changing one; a test fails if a page is not current.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.docstrings import attribute_docs, first_paragraph
from docs.generate_api import api_page
from docs.generate_captured import captured_page
from docs.generate_json_api import json_api_page
from docs.generate_privacy import privacy_fields_page
from docs.generate_redaction import redaction_page

from llmobs import codec, events
from llmobs.pipeline import statistics
from llmobs.settings import NAMES, Settings

HERE = Path(__file__).parent / "reference"


SETTINGS = """\
Each is a keyword of `Client`, `AsyncClient` and the middlewares, and an environment variable `LLMOBS_<NAME>`. A wrong
value raises `ConfigurationError`, which names it and what would be right.

## Where values come from

The first of these that has a value wins:

1. the keyword;
2. the `Settings` object given first: `Client(Settings(...))`;
3. the environment variable `LLMOBS_<NAME>`, in any case; an empty one counts as not set. For `service_name` after
   it `OTEL_SERVICE_NAME`;
4. the default.

The environment is read when a client is built: by `Client()` and `AsyncClient()`, by the middleware when the
application starts, and by `llmobs.run()` and `llmobs.current_tracker()` outside any run when they are first called.
Changes after that are not seen. A `Settings` object has read it already. Mappings are JSON:
`LLMOBS_PRICES='{"my-model": {"input": 1, "output": 4}}'`.

### .env files

llmobs opens no `.env` file by itself: whoever starts the process puts it into the environment. That way other
libraries and the command line see the same.

| by | how |
|---|---|
| uvicorn | `uvicorn app:app --env-file .env` |
| a shell | `set -a; . ./.env; set +a` |
| Docker, Compose | `--env-file .env`, `env_file: .env` |
| systemd | `EnvironmentFile=` |
| Python | `load_dotenv()` of `python-dotenv`, before the client is built |

Settings are read with pydantic-settings, so a file of LLMOBS variables and nothing else can be named as well. The
environment wins over it:

```python
from pathlib import Path

import llmobs

Path("llmobs.env").write_text("LLMOBS_SERVICE_NAME=shop\\nLLMOBS_SINK=jsonl:///events.jsonl\\n")

client = llmobs.Client(llmobs.Settings(_env_file="llmobs.env"))
assert client.settings.service_name == "shop"
client.close()
```
"""


def settings_page() -> str:
    docs = attribute_docs(Settings)
    lines = [
        "# Settings",
        "",
        SETTINGS,
    ]
    for name in NAMES:
        value = getattr(Settings, name)
        default = "none" if value is None else f"`{value!r}`"
        lines += [
            f"## {name}",
            "",
            f"`LLMOBS_{name.upper()}`, default {default}",
            "",
            docs[name],
            "",
        ]
    return "\n".join(lines)


def events_page() -> str:
    common = {f.name for f in msgspec.structs.fields(events.Event)}
    lines = [
        "# Events",
        "",
        "The native JSON of an event is its fields, defaults left out, with `event_type` as the tag. Times are UTC,",
        "durations milliseconds, money US dollars; cached tokens are part of `tokens_input`, reasoning tokens of",
        "`tokens_output`.",
        "",
        "## Fields of every event",
        "",
        *fields_table(events.Event, set()),
    ]
    for kind in codec.AnyEvent.__args__:
        lines += [
            f"## {kind.event_type}",
            "",
            f"`{kind.__name__}`: {first_paragraph(kind)}",
            "",
            *fields_table(kind, common),
        ]
    lines += [
        MESSAGES,
        "## error info",
        "",
        "`ErrorInfo`, in the field `error` of events:",
        "",
        *fields_table(events.ErrorInfo, set()),
    ]
    return "\n".join(lines)


MESSAGES = """\
## Messages

`prompt` and `response` of a `prompt_call` are text, or a list of messages. The doors (OpenAI, Anthropic, httpx,
LangChain, OpenTelemetry) write messages of the OpenTelemetry GenAI conventions, whoever the provider is:

```json
[
  {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
  {"role": "user", "parts": [{"type": "text", "content": "Weather in Rome?"}]},
  {"role": "assistant", "parts": [
    {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}]},
  {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "rain"}]}
]
```

| member | of | |
|---|---|---|
| `role` | message | system, developer, user, assistant or tool |
| `parts` | message | what was said, in order |
| `name` | message | who said it, if told |
| `finish_reason` | message | of answers, if told |
| `type` | part | one of those below; what the conventions have no word for keeps the provider's |

| part | its members |
|---|---|
| `text`, `reasoning`, `refusal` | `content` |
| `tool_call` | `id`, `name`, `arguments` (an object; text if it is no JSON) |
| `tool_call_response` | `id`, `response`; `is_error` if the tool failed |
| `blob` | `modality` (image, audio, …), `mime_type`, `size` in bytes; never the content |
| `uri`, `file` | `modality`, `uri` or `file_id` |

What an application tells itself (`log_prompt_call`, `prompt_call()`, `finish`) is kept as given: text, messages
in the words of its provider (`role`, `content`, `tool_calls`), or any other JSON.

`event.prompt_messages` and `event.response_messages` give either form in the first one, with the tools asked for.
`event.prompt_text` and `event.response_text` give the text of either form, a line for each part, without
roles, reasoning, tools and pictures; so do `call.prompt_text` and `call.response_text` of a `prompt_call()` block.
The tools that an answer asks for are in `tool_calls`, too.
"""


def fields_table(kind: Any, leave_out: set[str]) -> list[str]:
    docs = attribute_docs(kind)
    rows = [
        f"| `{f.name}` | {type_name(f.type)} | {docs.get(f.name, '')} |"
        for f in msgspec.structs.fields(kind)
        if f.name not in leave_out
    ]
    return ["| field | type | meaning |", "|---|---|---|", *rows, ""]


def type_name(kind: Any) -> str:
    text = (
        kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", ()) else str(kind)
    )
    return text.replace("typing.", "").replace("llmobs.events.", "").replace("|", "or")


def drop_reasons_page() -> str:
    docs = attribute_docs(statistics.DropReason)
    rows = [f"| `{reason.value}` | {docs[reason.name]} |" for reason in statistics.DropReason]
    return "\n".join(
        [
            "# Why events are dropped",
            "",
            "`client.statistics().dropped` counts events by these reasons, and",
            "`accepted = delivered + sum(dropped) + spooled + pending` holds at any moment.",
            "",
            "| reason | meaning |",
            "|---|---|",
            *rows,
            "",
        ]
    )


PAGES = {
    "api.md": api_page,
    "captured.md": captured_page,
    "json-api.md": json_api_page,
    "settings.md": settings_page,
    "events.md": events_page,
    "drop-reasons.md": drop_reasons_page,
    "privacy-fields.md": privacy_fields_page,
    "redaction.md": redaction_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
