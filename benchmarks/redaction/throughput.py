"""Redaction throughput beside the standard library's `re` with two plain patterns."""

from __future__ import annotations

import inspect
import itertools
import json
import random
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Budget, Result, interleave
from llmobs.redaction.redactor import redact_text, redacting
from llmobs.redaction.rules import TOKEN_RULES

TITLE = "Redaction of text, MB/s of CPU time, and of adversarial text"
LEAST = {"realistic, 1 MB": 200, "realistic, 3 KB": 200}
LEAST |= {f"nothing matches, {size}": 300 for size in ("1 MB", "3 KB", "2 KB")}
"""Budgets, MB/s."""

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_CARD = re.compile(r"\b(?:\d{4}[ -]?){3}\d{4}\b")

YARDSTICKS = {
    "one class of digits in re": (re.compile("[0-9]"), 160),
    "100 beginnings of keys in re": (
        re.compile("|".join(re.escape(rule.prefix) for rule in TOKEN_RULES[:100])),
        4,
    ),
}
"""What the budgets were set by: MB/s that each made in a text it does not match, on the machine of that day."""

_SENTENCES = """\
You can cancel the order at any time before it ships, and the refund takes 3 to 5 working days.
To answer the question: the function returns None when the list is empty, as the loop never runs.
In 2024 the team moved the service to Kubernetes; the p95 latency fell from 850 ms to 120 ms.
Here is a step-by-step plan:\n\n1. Read the logs of the last 24 hours.\n2. Look for the first error.
However, it depends on how the well-known libraries handle "null" values (usually badly).
```python\nfor key, value in settings.items():\n    retry_count = max(retry_count, value)\n```\n
The capital of France is Paris. It has about 2.1 million inhabitants, as of January 2023.
Sure! I'd be happy to help you write that e-mail to your landlord about the broken heating.
Please summarise the following article in three bullet points, and keep the tone friendly.
Photosynthesis converts light energy into chemical energy that plants store as sugars.
The invoice total is $1,284.50, due on 15 March; late payments cost 1.5 % a month.
As an AI model I cannot see your screen, but the message suggests that the port 8080 is in use.
There are three things to consider before you choose a database for a new application.
First, think about how the data is read. If most requests need one row by its id, anything will do.
Second, consider who will operate it. A system nobody on the team understands is expensive at night.
Third, measure before you decide. A small experiment of two hours often saves weeks of discussion.
The train from Vienna to Salzburg takes about two and a half hours and leaves every 30 minutes.
I would suggest starting with a short walk every morning, and adding ten minutes each week.
Thank you for the explanation. Could you show me the same example with an asynchronous client?
Of course. The only difference is that each call returns a coroutine, which has to be awaited.
When the test fails, read the last line of the traceback first; it names the exception.
She opened the letter slowly, read it twice, and put it back into the drawer without a word.
The recipe needs 250 g of flour, 3 eggs, a pinch of salt and half a litre of milk.
Our support team answers within one working day. Please describe what you did and saw.
A good summary states the result first, then the reason, and only then the details of the method.
The river was higher than usual, and the path along the bank had disappeared under brown water.
Translate the following sentence into German, and explain the grammar of the second clause.
""".splitlines()


def prose(size: int, seed: int, secrets: bool) -> str:
    """Chat prose; with `secrets` an address every 3 KB, and every seventh time a card instead."""
    rng = random.Random(seed)
    parts: list[str] = []
    length = since = 0
    while length < size:
        part = rng.choice(_SENTENCES) + " "
        if secrets and since > 3000:
            part = rng.choice(["ann.lee@example.com "] * 6 + ["4111 1111 1111 1111 "])
            since = 0
        parts.append(part)
        length += len(part)
        since += len(part)
    return "".join(parts)[:size]


def _source() -> str:
    """Return source code of the standard library, some 400 KB."""
    files = sorted(Path(inspect.__file__).parent.glob("[h-p]*.py"))
    return "".join(file.read_text("utf-8") for file in files)[:400_000]


def _json() -> str:
    """Return what an agent's calls look like, some 400 KB."""
    calls = [
        {
            "id": f"msg_{n:08x}",
            "role": "assistant",
            "content": prose(600, n, secrets=False),
            "usage": {"prompt_tokens": n, "completion_tokens": 2 * n, "total_tokens": 3 * n},
            "tool_calls": [
                {
                    "id": f"call_{n:06d}",
                    "type": "function",
                    "function": {"name": "look_up", "arguments": json.dumps({"days": n})},
                }
            ],
        }
        for n in range(450)
    ]
    return json.dumps(calls)


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def plain(text: str) -> str:
    return _CARD.sub("[REDACTED_CC]", _EMAIL.sub("[REDACTED_EMAIL]", text))


def texts() -> dict[str, list[str]]:
    return {
        "realistic, 1 MB": [prose(1_000_000, 1, secrets=True)],
        "realistic, 3 KB": [prose(3_000, n, secrets=True) + "ann@example.com" for n in range(100)],
        "nothing matches, 1 MB": [prose(1_000_000, 2, secrets=False)],
        "nothing matches, 3 KB": [prose(3_000, seed, secrets=False) for seed in range(100)],
        "nothing matches, 2 KB": [prose(2_000, seed, secrets=False) for seed in range(100)],
        "source code, 3 KB": _pieces(_source(), 3_000),
        "JSON of calls, 3 KB": _pieces(_json(), 3_000),
        "no digits either, 3 KB": [
            re.sub("[0-9]", "", prose(3_300, seed, secrets=False))[:3_000] for seed in range(100)
        ],
        "nothing matches, 20 B": ["a short name, a role"] * 100,
        "Chinese, 3 KB": ["请联系我们的客服,谢谢。" * 250] * 20,
    }


def adversarial(size: int) -> dict[str, str]:
    units = ("a.", "a@", "@", "1", "a", "1-", "4000-", "4", "sk-", "eyJ", "k-", "bearer ", "\\")
    return {f"{unit!r} * n": unit * (size // len(unit)) for unit in units} | {
        "header * n": "-----BEGIN PRIVATE KEY-----" * (size // 27)
    }


def dense(size: int) -> dict[str, str]:
    """Return the largest texts that capture keeps, ordinary and full of what has to go."""
    units = ("ann@example.com,", "é ann@x.io ", "4111 1111 1111 1111 ", "password: hunter2x\n")
    return {"realistic, 1 MB": prose(size, 1, secrets=True)} | {
        f"{unit!r} * n, 1 MB": unit * (size // len(unit)) for unit in units
    }


def seconds(function: Callable[[str], str], batch: list[str], least: float) -> float:
    """CPU seconds of one pass over `batch`, from as many passes as take `least` seconds."""
    passes, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < least or not passes:
        for text in batch:
            function(text)
        passes += 1
    return spent / passes


def sample(variant: str, quick: bool) -> dict[str, float]:
    """All texts in one process, in short interleaved rounds of ours and `re`."""
    rounds = 3 if quick else 9
    metrics: dict[str, float] = {}
    for name, batch in texts().items():
        pairs = [
            (seconds(redact_text, batch, 0.05), seconds(plain, batch, 0.05)) for _ in range(rounds)
        ]
        size = sum(map(len, batch)) / 1e6
        ours, theirs = (size / statistics.median(column) for column in zip(*pairs, strict=True))
        metrics |= {f"{name}/ours": ours, f"{name}/re": theirs}
    letters = re.sub("[0-9]", "x", prose(100_000, 2, secrets=False))
    for name, (pattern, _) in YARDSTICKS.items():
        assert pattern.search(letters) is None
        times = [
            seconds(lambda text, p=pattern: p.sub("", text), [letters], 0.05) for _ in range(rounds)
        ]
        metrics[f"{name}/re"] = len(letters) / 1e6 / statistics.median(times)
    many = dense(1_000_000)
    metrics |= {f"{name}/step": _step(text) for name, text in many.items()}
    longer = adversarial(400_000)
    for name, once in adversarial(200_000).items():
        twice = longer[name]
        pairs = [
            (seconds(redact_text, [once], 0), seconds(redact_text, [twice], 0)) for _ in range(5)
        ]
        short, long = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
        metrics |= {f"{name}/ms": long, f"{name}/ratio": long / short, f"{name}/step": _step(twice)}
    return metrics


def _step(text: str) -> float:
    """Milliseconds of processor time of the longest stretch between two pauses, the least of three passes."""
    return min(_longest(text) for _ in range(3)) * 1e3


def _longest(text: str) -> float:
    marks = [time.thread_time()]
    marks += (time.thread_time() for _ in redacting(text))
    marks.append(time.thread_time())
    return max(b - a for a, b in itertools.pairwise(marks))


def run(quick: bool) -> Result:
    """Peers' best: 107 MB/s (google-re2); `re` is what a host would write by hand."""
    found = interleave("redaction", ["all"], rounds=1 if quick else 3, quick=quick)
    names = list(dict.fromkeys(m.rpartition("/")[0] for m in found.values["all"]))

    def figure(name: str, metric: str) -> float | None:
        return found.median("all", f"{name}/{metric}")

    machine = {name: (figure(name, "re") or 0) / then for name, (_, then) in YARDSTICKS.items()}
    ratios = {name: ratio for name in names if (ratio := figure(name, "ratio"))}
    worst = max(ratios, key=ratios.__getitem__)
    steps = {name: step for name in names if (step := figure(name, "step"))}
    longest = max(steps, key=steps.__getitem__)
    return Result(
        TITLE,
        ("text", "llmobs MB/s", "re MB/s", "400 KB ms", "times 200 KB", "longest step ms"),
        [(n, *(figure(n, m) for m in ("ours", "re", "ms", "ratio", "step"))) for n in names],
        [
            *(
                Budget(name, figure(name, "ours") or 0, least, "MB/s", at_least=True)
                for name, least in LEAST.items()
            ),
            Budget(f"twice the adversarial text ({worst}), times as long", ratios[worst], 3),
            Budget(f"longest step ({longest})", steps[longest], 5, "ms"),
        ],
        "MB are 10**6 characters; all texts but one are ASCII. `re` does less: two patterns, no "
        "checksum, no keys. Twice the text taking twice as long is linear, four times quadratic. "
        "A step is what runs between two pauses, when other threads may go on. The budgets were set on a "
        "machine where one class of digits made 160 MB/s and 100 beginnings of keys 4: here it is "
        + " and ".join(f"{ratio:.2f}" for ratio in machine.values())
        + " times as much.",
    )
