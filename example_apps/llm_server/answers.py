"""The scripted model: an answer is a function of the question and of nothing else."""

import json
import re
from dataclasses import replace

from . import schema, tokens
from .conversation import Answer, Question
from .tool_plan import planned_calls
from .words import keywords, number, pick

_REFUSED = re.compile(r"\brefuse\b|\bbuild a (?:bomb|weapon)\b|\bwrite malware\b", re.IGNORECASE)
_BRIEF = re.compile(r"\bbrief|\bshort|one (?:sentence|word|line)|\bconcise", re.IGNORECASE)
_LIST = re.compile(r"\blist\b|\bsteps?\b|\bbullet", re.IGNORECASE)
_LONG = re.compile(r"\bdetail|\blong\b|\bessay|\bstory|\bin depth|\bthorough", re.IGNORECASE)

_OPENERS = (
    "In short, {topic} comes down to {a}.",
    "The useful way to look at {topic} is to start from {a}.",
    "There are two sides to {topic}: {a} and {b}.",
    "Most people meet {topic} through {a}.",
    "Let us take {topic} one step at a time, beginning with {a}.",
)
_BODIES = (
    "Begin with {a}, because everything else leans on it.",
    "When {b} changes, {a} usually changes with it, so watch both.",
    "A small experiment with {b} tells more than a long discussion of {a}.",
    "What looks like a problem of {a} is often a problem of {b} in disguise.",
    "Measure {a} before and after; without the two figures there is no result.",
    "If {b} is already in place, the remaining work on {a} is modest.",
    "Teams that write down their assumptions about {b} change their minds more cheaply later.",
    "The costs of {a} appear early and the benefits of {b} appear late, which explains the doubts.",
)
_CLOSERS = (
    "Start small, and keep what works.",
    "If you tell me more about {b}, I can be more precise.",
    "That is the whole idea; the rest is practice.",
    "Anything beyond that depends on your {a}.",
)


def answer(question: Question) -> Answer:
    """What the model says to `question`: a refusal, tool calls, a JSON document, or prose."""
    if _REFUSED.search(question.text):
        return Answer("I'm sorry, but I can't help with that request.", "refusal")
    thinking = _thinking(question) if question.thinks else ""
    if calls := planned_calls(question):
        return Answer("", "tools", thinking, calls)
    if question.schema is not None:
        document = schema.fill(question.schema, question.text)
        return _limited(Answer(json.dumps(document), "stop", thinking), question)
    return _limited(Answer(_prose(question), "stop", thinking), question)


def _prose(question: Question) -> str:
    text, variant = question.text, question.variant
    words = keywords(text) or ["this", "the details"]
    topic = " ".join(words[:3])

    def say(templates: tuple[str, ...], place: int) -> str:
        seeds = (text, variant, place)
        a, b = pick(words, *seeds, "a"), pick(words[::-1], *seeds, "b")
        sentence = pick(templates, *seeds).format(topic=topic, a=a, b=b if b != a else "practice")
        return sentence[0].upper() + sentence[1:]

    lines: list[str] = []
    if question.images:
        lines.append(f"I looked at the {question.images} attached image(s).")
    if question.results:
        found = "; ".join(" ".join(result.split())[:300] for result in question.results)
        lines.append(f"The tools report: {found}.")
    lines.append(say(_OPENERS, 0))
    if _BRIEF.search(text):
        return " ".join(lines)
    length = 12 if _LONG.search(text) else 2 + number(text, variant, "length") % 3
    bodies = [say(_BODIES, place) for place in range(1, length + 1)]
    bodies = list(dict.fromkeys(bodies))
    if _LIST.search(text):
        steps = "\n".join(f"{place}. {body}" for place, body in enumerate(bodies, 1))
        return f"{' '.join(lines)}\n\n{steps}\n\n{say(_CLOSERS, -1)}"
    return " ".join([*lines, *bodies, say(_CLOSERS, -1)])


def _thinking(question: Question) -> str:
    words = keywords(question.text) or ["the request"]
    points = [f"What matters here is {word}." for word in words[:6]]
    return " ".join(
        ["The user asks about", ", ".join(words[:3]) + ".", *points, "I can answer now."]
    )


def _limited(full: Answer, question: Question) -> Answer:
    """Cut the text where a stop sequence or the token limit says so; whichever comes first."""
    hits = [(at, item) for item in question.stop if item and (at := full.text.find(item)) >= 0]
    if hits:
        at, item = min(hits)
        full = replace(full, text=full.text[:at], ending="stop_sequence", stop_sequence=item)
    if question.max_tokens is None:
        return full
    left = max(question.max_tokens - tokens.count(full.thinking), 0)
    cut = list(tokens.pieces(full.text))
    if len(cut) <= left:
        return full
    return replace(full, text="".join(cut[:left]), ending="length", stop_sequence=None)
