"""
The finders of others on our corpus, each in an environment of its own.

    python -m benchmarks.redaction.finders_of_others

A driver reads texts, and answers with what it found in each and how fast it reads prose. On
2026-11-30, a busy machine (Presidio and detect-secrets: the day before), the part of the corpus that
nobody looked at:

    finder          email  card   ssn  iban  secret  innocent texts touched   MB/s
    llmobs           1.00  1.00  1.00  1.00    1.00                    0.00   85.4
    presidio         0.71  0.72  1.00  1.00    0.03                    0.20   0.16
    scrubadub        0.69  0.17  1.00  0.00    0.05                    0.08    1.9
    detect-secrets   0.00  0.00  0.00  0.22    0.66                    0.75   0.04
    google-re2       0.67  0.62  1.00  0.36    0.09                    0.09   52.1

google-re2 is five plain patterns, and slower than ours with all kinds: it is no extra.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from benchmarks import peers
from benchmarks.redaction.corpus import Case, corpus, is_held_out
from benchmarks.redaction.throughput import prose
from llmobs.redaction.scan import find

__all__ = ["DRIVERS", "PINS", "figures", "main"]

PINS: Final = {
    "presidio": ("presidio-analyzer==2.2.366",),
    "scrubadub": ("scrubadub==2.0.1",),
    "detect-secrets": ("detect-secrets==1.5.0",),
    "google-re2": ("google-re2==1.1.20251105",),
}
DRIVERS: Final = {
    "presidio": """
import logging
logging.disable()
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NoOpNlpEngine
no_model = NoOpNlpEngine([{"lang_code": "en", "model_name": "none"}])
engine = AnalyzerEngine(nlp_engine=no_model, supported_languages=["en"])
kinds = sorted(set(engine.get_supported_entities("en")) - {"URL", "DATE_TIME"})
def find(text):
    found = engine.analyze(text, "en", entities=kinds, score_threshold=0.4)
    return [(f.start, f.end) for f in found]
""",
    "scrubadub": """
import scrubadub
scrubber = scrubadub.Scrubber()
def find(text):
    return [(f.beg, f.end) for f in scrubber.iter_filth(text)]
""",
    "detect-secrets": """
from detect_secrets.core.scan import scan_line
from detect_secrets.settings import default_settings
settings = default_settings()
settings.__enter__()
def find(text):
    spans = []
    at = 0
    for line in text.split("\\n"):
        for secret in scan_line(line):
            start = line.find(secret.secret_value)
            if start >= 0:
                spans.append((at + start, at + start + len(secret.secret_value)))
        at += len(line) + 1
    return spans
""",
    "google-re2": r"""
import re2
patterns = [re2.compile(p) for p in (
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", r"\b(?:[0-9]{4}[ -]?){3}[0-9]{4}\b",
    r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){3,7}\b",
    r"\b(?:sk-|gh[pousr]_|xox[bpars]-|AKIA|AIza|glpat-)[0-9A-Za-z_-]{16,}")]
def find(text):
    return [m.span() for p in patterns for m in p.finditer(text)]
""",
}
_FRAME: Final = """
import json, sys, time
texts, prose = json.load(sys.stdin)
spans = [find(text) for text in texts]
begin, read = time.process_time(), 0
while read < len(prose) and time.process_time() - begin < 10:
    find(prose[read:read + 3000])
    read += 3000
print(json.dumps([spans, read / (time.process_time() - begin) / 1e6]))
"""


def figures(cases: list[Case], spans: list[list[tuple[int, int]]]) -> Mapping[str, float]:
    """Return the share found by kind, and how many innocent texts something was taken from."""
    labelled: dict[str, list[bool]] = {}
    for case, found in zip(cases, spans, strict=True):
        if case.kind is None:
            labelled.setdefault("taken", []).append(bool(found))
        else:
            begin = case.text.find(case.value)
            left = set(range(begin, begin + len(case.value)))
            for start, end in found:
                left.difference_update(range(start, end))
            labelled.setdefault(case.kind, []).append(not left)
    return {kind: sum(hits) / len(hits) for kind, hits in labelled.items()}


def main() -> None:
    """Print a table of ours and theirs."""
    kinds = ("email", "card", "ssn", "iban", "secret")
    cases = [c for c in corpus() if is_held_out(c) and c.kind in (*kinds, None)]
    text = prose(600_000, 1, secrets=True)
    print("finder", *kinds, "innocent texts touched", "MB/s", sep=" | ")
    ours = "def find(text):\n    return [s[:2] for s in ours(text)]"
    for name, code in {"llmobs": ours, **DRIVERS}.items():
        if name == "llmobs":
            python, code = sys.executable, f"from {find.__module__} import find as ours\n{code}"
        else:
            python = str(peers.environment(f"finds-{name}", PINS[name]))
        done = subprocess.run(
            [python, "-c", code + _FRAME],
            input=json.dumps([[case.text for case in cases], text]),
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        if done.returncode:
            print(name, "cannot run here:", done.stderr.strip().splitlines()[-1])
            continue
        spans, speed = json.loads(done.stdout.splitlines()[-1])
        row = figures(cases, spans)
        shares = [f"{row[kind]:.2f}" for kind in (*kinds, "taken")]
        print(name, *shares, f"{speed:.2f}", sep=" | ", flush=True)


if __name__ == "__main__":
    main()
