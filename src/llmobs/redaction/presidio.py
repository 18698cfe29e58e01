"""Microsoft's Presidio beside our finders, for who asks for it (``pip install 'llmobs[presidio]'``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from llmobs.redaction.replacing import Replace
from llmobs.redaction.scan import merged
from llmobs.redaction.spans import Span

__all__ = ["PresidioOptions", "presidio_finder", "presidio_options", "presidio_redactor"]

_LEFT_OUT: Final = frozenset({"URL", "EMAIL_ADDRESS", "DATE_TIME"})
"""
Entities that are found only if named: addresses of pages and dates are data; for e-mail addresses,
which we find ourselves, Presidio asks a server on the internet for a list.
"""
_NO_MODEL: Final = "none"


class PresidioOptions(NamedTuple):
    """What of Presidio is wanted."""

    entities: tuple[str, ...] | None = None
    """Its names of what to look for; None: what its recognisers know, but for pages, mail and dates."""
    language: str = "en"
    score: float = 0.5
    """From 0 to 1: how certain it has to be."""
    model: str | None = None
    """An installed model of spaCy, for names of people and places; None: patterns only."""


def presidio_options(said: Any) -> PresidioOptions | None:
    """
    Return what *said*, the value of ``presidio``, asks for: true, a list of entities, or a mapping.

    Raises:
        ValueError: It is none of these, or names an option that there is not.
    """
    if said is None or said is False:
        return None
    if said is True:
        return PresidioOptions()
    options = dict(said) if isinstance(said, Mapping) else {"entities": said}
    if unknown := sorted(set(options) - set(PresidioOptions._fields)):
        raise ValueError(
            f"presidio: {', '.join(unknown)}: unknown; there are {', '.join(PresidioOptions._fields)}"
        )
    entities = options.pop("entities", None)
    if entities is not None:
        if not isinstance(entities, (list, tuple)) or not all(isinstance(e, str) for e in entities):
            raise ValueError("presidio: must be true, a list of entities, or a mapping")
        options["entities"] = tuple(entities)
    score = options.get("score", 0.5)
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise ValueError("presidio: score: must be a number from 0 to 1")
    for name in ("language", "model"):
        if not isinstance(options.get(name, ""), str):
            raise ValueError(f"presidio: {name}: must be a text")
    return PresidioOptions(**options)


def presidio_redactor(
    find: Callable[[str], list[Span]], replace: Replace, allowed: Callable[[str, str], bool]
) -> Callable[[str], str]:
    """
    Return what replaces what Presidio finds.

    Args:
        find: What `presidio_finder` returned.
        replace: Returns what stands in place of a match.
        allowed: Whether a match, of a kind, stays.
    """

    def redact(text: str) -> str:
        parts: list[str] = []
        done = 0
        for span in merged(find(text)):
            value = text[span.start : span.end]
            if not allowed(value, span.kind) and not value.startswith("[REDACTED_"):
                parts += text[done : span.start], replace(span.kind, span.rule, value)
                done = span.end
        return "".join(parts) + text[done:] if parts else text

    return redact


def presidio_finder(options: PresidioOptions) -> Callable[[str], list[Span]]:
    """
    Return what finds entities in a text: slowly (a megabyte takes seconds, with a model minutes).

    Raises:
        ValueError: Presidio is not installed, or knows no such entity, language or model.
    """
    try:
        from presidio_analyzer import AnalyzerEngine  # pyright: ignore[reportMissingImports]
        from presidio_analyzer.nlp_engine import (  # pyright: ignore[reportMissingImports]
            NlpEngineProvider,
            NoOpNlpEngine,
        )
    except ImportError:
        raise ValueError("presidio: needs pip install 'llmobs[presidio]'") from None
    names = {"lang_code": options.language, "model_name": options.model or _NO_MODEL}
    try:
        if options.model is None:
            engine = NoOpNlpEngine([names])
        else:
            import spacy.util  # pyright: ignore[reportMissingImports]

            if not spacy.util.is_package(options.model):  # else Presidio would download it
                raise ValueError("this model of spaCy is not installed")
            engine = NlpEngineProvider(
                nlp_configuration={"nlp_engine_name": "spacy", "models": [names]}
            ).create_engine()
        analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=[options.language])
    except Exception as error:  # noqa: BLE001 - of spaCy, of Presidio, of what it loads
        raise ValueError(f"presidio: {options.model or options.language}: {error}") from None
    known = set(analyzer.get_supported_entities(options.language))
    entities = sorted(known - _LEFT_OUT) if options.entities is None else list(options.entities)
    if unknown := sorted(set(entities) - known):
        raise ValueError(
            f"presidio: {', '.join(unknown)}: no entity for {options.language!r}; "
            f"there are {', '.join(sorted(known))}"
        )

    def find(text: str) -> list[Span]:
        found = analyzer.analyze(
            text, options.language, entities=entities, score_threshold=options.score
        )
        return [Span(f.start, f.end, f.entity_type.lower(), "presidio") for f in found]

    return find
