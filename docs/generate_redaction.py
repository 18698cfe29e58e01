"""The reference page of what redaction finds: made from its tables, with figures from the corpus."""

from benchmarks.redaction.corpus import corpus, is_held_out
from benchmarks.redaction.figures import measure_all
from benchmarks.redaction.formats import TOKENS
from llmobs.redaction.kinds import KINDS
from llmobs.redaction.names import SECRET_NAMES
from llmobs.redaction.rules import TOKEN_RULES

__all__ = ["redaction_page"]

HEAD = """\
# What redaction finds

Texts are searched for these kinds, by rules and on the spot: no model, no service. The figures are of strings that
nobody looked at while the rules were written: a third, told by a hash, of a corpus made by `benchmarks/redaction` from
published formats, and of innocent text (sources, logs, tables, ids, hashes, prices, base64, several languages), by code
that shares nothing with the finders. Recall: the share of values of which no character was left. Precision: the share
of what was taken that was meant. `python -m benchmarks.redaction.figures --all --misses` shows each string that counts
against them.

| kind | in its place | by default | recall | precision | strings |
|---|---|---|---:|---:|---:|
"""
NAMES = """
## Names whose values are secret

Whatever stands under one of these goes: in mappings (numbers and lists, too), JSON within text, headers, query
strings, YAML, variables, flags. A name counts if it ends with one of them; case and what joins its words do not matter.
`token` and `auth` count where the value looks like one; `max_tokens` and `token_count` never do.

In text, a value stands behind `=`, `:`, `=>` or `:=`, in `name="password" value="…"`, in an element
(`<password>…</password>`), or indented below (`password: |`). Also found: arguments of commands (`mysql -p…`,
`sshpass -p …`, `redis-cli -a …`, `docker login -p …`, `curl -u name:…`). Words without quotes behind a name that is not
English are taken for prose, and so is a sentence in quotes. Not found in running text: a key that somebody encoded in
base64 (where it is a whole value it is), and `(at)` in round brackets.

"""
FORMATS = """
## Formats of keys and tokens

A rule is known by how a key begins; what follows has to be as long as its issuer says.

| rule | begins with |
|---|---|
"""
LIMITS = """
## What is not found

- A value split over pieces, unless these are the texts of one list whose pieces bring their spaces along, or the parts
  of one message.
- Keys without a format of their own (32 hexadecimal digits, for instance) that no name tells.
- Keys of Databricks and Scaleway (`dapi…`, `SCW…`), where neither a sign stands before nor a name tells: nothing in
  them is rare enough to look for.
- Base64 of text within a longer text; where it is all of the text, it is.
- Addresses under a top-level domain that the root zone does not have, but for `local`, `internal`, `corp` and the like.
"""


def redaction_page() -> str:
    figures = measure_all(filter(is_held_out, corpus()))
    lines = []
    for kind in KINDS.values():
        count = figures.labelled[kind.name]
        measured = (
            f"{figures.recall(kind.name):.2f} | {figures.precision(kind.name):.2f} | {count}"
            if count
            else "not measured | | "
        )
        lines.append(
            f"| `{kind.name}` | `{kind.placeholder}` | {'on' if kind.on else 'off'} | {measured} |"
        )
    lines += [""] + [f"- `{kind.name}`: {kind.about}" for kind in KINDS.values()]
    beginnings: dict[str, list[str]] = {}
    for rule in TOKEN_RULES:
        beginnings.setdefault(rule.name, []).append(f"`{rule.prefix}`")
    formats = [f"| {name} | {', '.join(sorted(beginnings[name]))} |" for name in sorted(beginnings)]
    return (
        HEAD
        + "\n".join(lines)
        + "\n"
        + NAMES
        + ", ".join(f"`{name}`" for name in sorted(SECRET_NAMES))
        + ".\n"
        + FORMATS
        + "\n".join(formats)
        + f"\n\n{len(beginnings)} rules; the formats of {len(TOKENS)}, some known by their shape, are in the corpus.\n"
        + LIMITS
    )
