"""Finds values by the name before them: ``password=…``, YAML, JSON, headers, flags, cookies."""

from __future__ import annotations

import re
from typing import Final

from llmobs.redaction.names import LAST_WORDS, PASSWORDS_ABROAD, SecretNames
from llmobs.redaction.pieces import CERTAIN
from llmobs.redaction.plain import unescaped
from llmobs.redaction.spans import ANCHORS_A_STEP, BLANKS, Reach, Span
from llmobs.runtime.time_slices import Steps

__all__ = [
    "SPOKEN",
    "closing_quote",
    "find_named",
    "find_spoken",
    "is_placeholder",
    "looks_secret",
]

_NAMES: Final = SecretNames()

# Read backwards, from the sign to the beginning of the name: blanks, a quote with its backslashes.
_NAME_BACKWARDS = re.compile(
    # "mot de passe" has two blanks, others have one
    r"[ \t]{0,4}[\"'`]?\\{0,8}[\])]?([\w.-]{2,48}(?: \w{2,16}(?: [Tt][Oo][Mm])?)?)"
)
_LONGEST_NAME: Final = 80
"""Characters of a name, with what stands between it and its sign."""
_LEAD: Final = _LONGEST_NAME + 2
"""Characters looked at before a sign."""
_MOST_SPELT: Final = 240
"""The same where characters of it are escaped."""
_LONGEST_END: Final = 48
"""Characters that its last two letters take."""
_LAST_LETTERS: Final = frozenset(word[-2:] for word in LAST_WORDS)
_BEGINS_A_FIELD: Final = frozenset("?&")
_VALUE_BACKWARDS = re.compile(r"eulav (?=[\"'])", re.IGNORECASE)
# Text of an element, and of a scalar of YAML that begins on the next line.
_ELEMENT = re.compile(r"([^<>\n]{3,512})</")
_BLOCK = re.compile(
    r"[ \t]{1,4}[|>][+-]?[1-9]?[+-]?[ \t]{0,8}\r?\n([ \t]{1,32})(?=\S)"
    r"([^\r\n]{3,512}+(?:\r?\n\1[^\r\n]{1,512}+){0,31})"
)
_BETWEEN: Final = " \t\"'`\\])"
_OPEN = re.compile(r"[=:>]?[ \t]{0,4}(?:[bruf]{0,2}(\\{0,8}[\"'`]))?")
_LONGEST: Final = 1_024
_QUOTED = re.compile(r"[^\"'`\\\n]{0,1024}")
_BARE = re.compile(r"[^\s\"'`<>,;&(){}\[\]|\\\u3000-\uffef]{1,512}+")
# Behind "password: " an ampersand is part of it; in a query string it ends it.
_ON_A_LINE = re.compile(_BARE.pattern.replace("&", ""))
# A password may have brackets and ampersands in it, where that is no call and no next field of a form.
_WITH_BRACKETS = re.compile(r"[^\s\"'`<>,;{}\[\]|\\]{4,256}+")
_NEXT_FIELD = re.compile(r"&[\w.-]{1,64}=")
_CALL = re.compile(r"(?:[A-Za-z_][\w.]*)?\([\w.,=()*:+-]*$|[$%@]\(?[\w.]*\)?s?$")
_OF_ALL_SORTS = re.compile(
    r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z])(?=.*[()&])|(?=.*[0-9A-Za-z]).*[^\w()&].*[()&]|.*[()&].*[^\w()&.]"
)
_LINE = re.compile(r"[^\n\r\"'`\\<>]{1,4096}+")
_FLAG = re.compile(r"--([A-Za-z][0-9A-Za-z_-]{2,30})[ ]")
# What stands where a secret would: nothing to hide.
_TEMPLATE = re.compile(
    r"[*xX.•_-]+$|[<{].*|[$%@][^!^&*+#~?)(]*\$?$|[$%@][({].*|\[.*|.*[{}<>]|"
    r"(?:your|my|enter|insert|some|the|an?|example|dummy|fake|test)[-_ ][a-z].*",
    re.IGNORECASE,
)
_NO_VALUES: Final = frozenset(
    {
        "any", "array", "auth", "authorization", "basic", "bearer", "bool", "boolean",
        "bytes", "cookie", "credentials", "default", "digest", "disabled", "enabled", "false",
        "hidden", "id", "int", "integer", "invalid", "key", "missing", "name", "nil", "no",
        "none", "null", "number", "object", "off", "on", "optional", "passwd", "password",
        "plain", "present", "redacted", "required", "secret", "self", "set", "str", "string",
        "text", "token", "true", "type", "undefined", "unset", "user", "username", "value",
        "yes",
    }
)  # fmt: skip
_NUMBER = re.compile(r"[ \t]{0,4}(-?[0-9][0-9.eE+-]{0,63})(?=" + BLANKS + r"[,}\]])")
_ITEM = re.compile(BLANKS + r"(\\{0,8}[\"'])?")
_BLANK = re.compile(BLANKS)
_LETTERS = re.compile(r"[^\W\d_]+(?:[-_./ :][^\W\d_]*)*$")
_IDENTIFIER = re.compile(r"[A-Za-z_][0-9A-Za-z_]*(?:(?:\.|->|::)[A-Za-z_][0-9A-Za-z_]*)*$")
_MIXED = re.compile(r"(?=.{0,64}[0-9])(?=.{0,64}[A-Za-z])")
_SCHEME = re.compile(
    r"(?:bearer|basic|token|apikey|digest|negotiate) {1,8}(\S{4,4096})", re.IGNORECASE
)
_QUERY: Final = frozenset({"token", "auth"})
"""In a query string they are secret, whatever they are."""
SPOKEN: Final = "assword is"
"""What everything begins with that `find_spoken` finds."""
_SPOKEN_OPEN = re.compile(r"[ :]{1,4}([\"'`])?")
_SPELT = re.compile(r"(?=.{0,64}[A-Za-z])(?=.{0,64}[^A-Za-z'\u2019.-])")
_ENDS_A_FIELD: Final = frozenset({"", ";", "&", "\n", "\r"})
_PASSWORDS: Final = ("password", "passwd", "pwd")
_WORDS_OF_PASSWORDS: Final = ("password", "passwd", "pwd", "pass", "passphrase", "passwort")
_WORDS_OF_PASSWORDS_ANYWHERE: Final = (*_WORDS_OF_PASSWORDS, "kennwort", *PASSWORDS_ABROAD)
_NAMING: Final = (
    "pass", "secret", "token", "key", "auth", "cred", "user", "pwd", "kennwort", *PASSWORDS_ABROAD,
)  # fmt: skip
_SIGNS: Final = frozenset(":=>")
_LONG_SIGNS: Final = frozenset({"=>", ":="})
_LEAST_WORDS: Final = 4
_MOST_WORDS: Final = 12
# Of these, or of what has one of them, no passphrase is made, but messages about passwords are.
_OF_SENTENCES: Final = frozenset(
    {
        "a", "an", "and", "any", "are", "at", "be", "by", "can", "cannot", "characters", "do", "does",
        "enter", "for", "from", "have", "if", "in", "invalid", "is", "it", "least", "length", "long",
        "match", "maximum", "minimum", "must", "new", "no", "not", "of", "on", "one", "only", "or",
        "please", "required", "should", "short", "than", "that", "the", "this", "to", "too", "was",
        "when", "with", "wrong", "you", "your",
    }
)  # fmt: skip
_CODE = re.compile(r"[a-z_0-9.]*$|[A-Z_0-9.]*$")
_RANDOM = re.compile(r"[0-9A-Za-z_.~+/=-]{16,}$")


def _end_of_password(text: str, start: int, end: int) -> int:
    """Return where a password ends that seems to end at ``end``, before a bracket or an ampersand."""
    if text[end : end + 1] not in ("(", ")", "&"):
        return end
    found = _WITH_BRACKETS.match(text, start)
    if found is None:
        return end
    field = _NEXT_FIELD.search(found[0])
    value = (found[0] if field is None else found[0][: field.start()]).rstrip(".:")
    line = text[max(0, start - 200) : start].rpartition("\n")[2]
    if line.count("(") > line.count(")") and value.count(")") > value.count("("):
        value = value.rstrip(".:)")  # it closes what stands around all of this
    if _CALL.match(value) or not _OF_ALL_SORTS.match(value):
        return end
    return max(end, start + len(value))


def is_placeholder(value: str) -> bool:
    """Whether *value* stands where a secret would: a template, ``none``, ``password``."""
    return value.lower() in _NO_VALUES or _TEMPLATE.match(value) is not None


def looks_secret(value: str) -> bool:
    """Whether *value* looks like a token: long, without a blank, with digits and letters."""
    return _RANDOM.match(value) is not None and _MIXED.match(value) is not None


def find_spoken(text: str, low: int, high: int, spans: list[Span]) -> Steps[None]:
    """Append to ``spans`` what "my password is …" gives away, where that begins in ``text[low:high]``."""
    at, anchors = low, 0
    while 0 <= (at := text.find(SPOKEN, at, high + len(SPOKEN) - 1)) < high:
        at += len(SPOKEN)
        anchors += 1
        if anchors % ANCHORS_A_STEP == 0:
            yield
        opening = _SPOKEN_OPEN.match(text, at)
        if opening is None:
            continue
        start, end = opening.end(), -1
        if opening[1]:
            end = closing_quote(text, start, opening[1])
        if end < 0:
            found = _ON_A_LINE.match(text, start)
            end = start if found is None else start + len(found[0].rstrip(".:!?"))
            end = _end_of_password(text, start, end)
        value = text[start:end]
        # "required", "wrong": a word by itself says nothing.
        if len(value) >= 4 and _SPELT.match(value) and not _TEMPLATE.match(value):
            spans.append(Span(start, end, "secret", "named"))


def find_named(
    text: str, here: int, reach: Reach, spans: list[Span], names: SecretNames = _NAMES
) -> None:
    """Append to ``spans`` the value behind ``here``, a sign, if one of *names* stands before."""
    if text[here] == "-":
        flag = _FLAG.match(text, here)
        if flag is not None and _NAMES.weight(flag[1]) == 2:
            _append(text, flag.end(), flag[1], " ", reach, spans)
        return
    behind_name, sign = here, text[here]
    if sign == "=" and (between := _VALUE_BACKWARDS.match(text[max(0, here - 8) : here][::-1])):
        behind_name -= between.end()
    elif text[here + 1 : here + 2] in _SIGNS:
        if text[here : here + 2] in _LONG_SIGNS:
            sign = text[here : here + 2]
        elif text[here - 1 : here] in (" ", "\t"):
            return  # a comparison, a type
    lead = text[max(0, behind_name - _LEAD) : behind_name]
    if "\\u" in lead or "%" in lead or "&#" in lead:
        end = unescaped(lead[-_LONGEST_END:]).rstrip(_BETWEEN)[-2:].lower()
        if names is _NAMES and end not in _LAST_LETTERS:
            return
        lead = unescaped(text[max(0, behind_name - _MOST_SPELT) : behind_name])
    if names is _NAMES and not lead[-20:].rstrip(_BETWEEN).lower().endswith(LAST_WORDS):
        return
    name = _NAME_BACKWARDS.match(lead[::-1][:_LONGEST_NAME])
    if name is None:
        return
    written = name[1][::-1]
    weight = names.weight(written)
    if not weight:
        return
    before = lead[: -name.end()][-2:]
    if behind_name < here and before[:1] != "=":
        return  # not name="password" value="..."
    in_query = sign == "=" and before[-1:] in _BEGINS_A_FIELD
    if in_query and written.lower() in _QUERY:
        weight = 2
    _append(
        text,
        here + 1,
        written,
        sign,
        reach,
        spans,
        weight=weight,
        blank=name[0][0] in " \t",
        quoted=name[0].lstrip()[0] in "\"'`",
        in_query=in_query,
        element=sign == ">" and before[:1] == "=",
    )


def _append(
    text: str,
    at: int,
    name: str,
    sign: str,
    reach: Reach,
    spans: list[Span],
    *,
    weight: int = 2,
    blank: bool = False,
    quoted: bool = False,
    in_query: bool = False,
    element: bool = False,
) -> None:
    block = _BLOCK.match(text, at) if sign == ":" else None
    if block is not None:
        value = block[2]
        if not _TEMPLATE.match(value) and (weight == CERTAIN or looks_secret(value)):
            spans.append(Span(block.start(2), block.end(), "secret", "named"))
        return
    opening = _OPEN.match(text, at)
    start = at if opening is None else opening.end()
    quote = None if opening is None else opening[1]
    last = name.replace("-", "").replace("_", "").replace(" ", "").lower()
    header = last.endswith(("authorization", "cookie"))
    if quote is not None:
        end = closing_quote(text, start, quote)
        if end < 0:
            found = _BARE.match(text, start)
            end = start if found is None else found.end()
        value = text[start:end]
        secret = _is_secret_text(value, last, header, weight) or (
            last.endswith(_WORDS_OF_PASSWORDS_ANYWHERE) and _is_quoted_password(value, sign)
        )
    elif header:
        found = _LINE.match(text, start)
        if found is None:
            return
        line = found[0].partition("&")[0] if sign == "=" else found[0]
        end = start + len(line.rstrip(" ,)]};"))
        value = text[start:end]
        secret = _is_header(value, last)
    elif quoted and element:
        found = _ELEMENT.match(text, start)
        if found is None:
            return
        value, end = found[1], found.end(1)
        secret = _is_secret_text(value, last, header=False, weight=weight)
    elif quoted:
        _append_numbers(text, start, last, weight, spans)
        return
    else:
        found = (_BARE if start == at else _ON_A_LINE).match(text, start)
        end = start if found is None else found.end()
        while end > start and text[end - 1] in ".:":
            end -= 1
        if last.endswith(_WORDS_OF_PASSWORDS):
            end = _end_of_password(text, start, end)
        if end == start:
            return
        value = text[start:end]
        tight = not blank and start == at
        field = in_query or (tight and sign == "=" and text[end : end + 1] in _ENDS_A_FIELD)
        secret = (
            _fills_a_field(value, in_query, last)
            if field and weight == 2
            else _is_secret_text(value, last, header=False, weight=weight)
            and _is_literal(text, end, value, name, sign, tight)
        )
    if secret:
        rule = "cookie" if last.endswith("cookie") else "authorization" if header else "named"
        spans.append(Span(start, end, "secret", rule))


def _append_numbers(text: str, at: int, name: str, weight: int, spans: list[Span]) -> None:
    """Append a number that stands where a quoted text would in JSON, or the items of a list."""
    if weight < 2:
        return
    item = _NUMBER.match(text, at)
    if item is not None:
        if len(item[1]) >= 3:
            spans.append(Span(item.start(1), item.end(1), "secret", "named"))
        return
    limit = at + _LONGEST
    if text[at : at + 1] != "[":
        return
    found: list[Span] = []
    while at < limit and text[at : at + 1] in ("[", ","):
        opening = _ITEM.match(text, at + 1)
        if opening is None:
            return
        start = opening.end()
        if opening[1]:
            end = closing_quote(text, start, opening[1])
            if end < 0:
                return
            if _is_secret_text(text[start:end], name, header=False, weight=2):
                found.append(Span(start, end, "secret", "named"))
            start = end + len(opening[1])
        else:
            item = _NUMBER.match(text, start)
            if item is None:
                return
            if len(item[1]) >= 3:
                found.append(Span(item.start(1), item.end(1), "secret", "named"))
            start = item.end()
        at = _BLANK.match(text, start).end()  # type: ignore[union-attr]  # it matches nothing, too
    spans += found


def closing_quote(text: str, start: int, quote: str) -> int:
    """Return where the text behind the opening *quote* ends, with its backslashes; -1: nowhere."""
    limit = min(len(text), start + _LONGEST)
    line = text.find("\n", start, limit)
    limit = limit if line < 0 else line
    at = text.find(quote, start, limit)
    while at > start and text[at - 1] == "\\":
        at = text.find(quote, at + len(quote), limit)
    return at


def _is_header(value: str, name: str) -> bool:
    value = value.replace("%20", " ")
    if name.endswith("cookie"):
        return "=" in value and not value.startswith(("=", "$"))
    if (len(value) >= 8 and _MIXED.match(value) is not None and " " in value) or looks_secret(
        value
    ):
        return True
    scheme = _SCHEME.fullmatch(value)
    if scheme is None or scheme[1].lower() in _NO_VALUES or _TEMPLATE.match(scheme[1]):
        return False
    # Letters alone, and few of them, are a word of prose: "Bearer certificates".
    return len(scheme[1]) >= 16 or not scheme[1].isalpha()


def _is_secret_text(value: str, name: str, header: bool, weight: int) -> bool:
    """Whether *value* is not merely a word, a template or a type."""
    if len(value) < 3 or is_placeholder(value):
        return False
    if weight == 1:
        return looks_secret(value)
    if header:
        return _is_header(value, name)
    if value.count(" ") > (8 if "phrase" in name or "string" in name else 0):
        return False
    if _LETTERS.match(value):
        if not name.endswith(_WORDS_OF_PASSWORDS):
            return _is_random_word(value)
        return not _names_one(value.lower())
    return True


def _is_quoted_password(value: str, sign: str) -> bool:
    """Whether *value*, in quotes, is a word in another language, or several, and no sentence."""
    if is_placeholder(value) or _names_one(value.lower()):
        return False
    words = value.split(" ")
    if len(words) == 1:
        return len(value) >= 3
    if len(words) > _MOST_WORDS or not _OF_SENTENCES.isdisjoint(value.lower().split()):
        return False
    if any(_MIXED.match(word) for word in words):
        return True
    return sign != ":" and len(words) >= _LEAST_WORDS and value.isascii() and value.islower()


def _is_random_word(value: str) -> bool:
    """Whether these letters are too long for a word and no camels: ``abcdefghijklmnop``, ``xKqPzRtWvB…``."""
    if len(value) < 16 or not value.isalpha():
        return False
    capitals = sum(map(str.isupper, value))
    return capitals in (0, len(value)) or len(value) / 4 <= capitals <= len(value) * 3 / 4


def _fills_a_field(value: str, in_query: bool, name: str) -> bool:
    """Whether *value* is a secret: all there is between a name with its sign and the end of the field."""
    if len(value) < 3 or is_placeholder(value):
        return False
    if in_query or not _IDENTIFIER.match(value) or _MIXED.match(value):
        return in_query or _is_secret_text(value, name, header=False, weight=2)
    least = 3 if name.endswith(_PASSWORDS) else 6
    return len(value) >= least and value.isalpha() and value.islower() and not _names_one(value)


def _names_one(value: str) -> bool:
    return any(map(value.__contains__, _NAMING))


def _is_literal(text: str, end: int, value: str, name: str, sign: str, tight: bool) -> bool:
    """Whether *value*, without quotes and up to *end*, is no code and no prose."""
    after = text[end : end + 1]
    if after and after in "([":
        return False
    if sign in _LONG_SIGNS and _IDENTIFIER.match(value):
        return False  # a function's body, another variable
    if len(value) < 4:
        return False
    if sign == " ":
        return True
    if _IDENTIFIER.match(value):
        if after in (")", ",", "}", "]"):
            return False
        if _MIXED.match(value) and ("." not in value or _CODE.match(value) is None):
            return True
        return tight and sign == "=" and len(value) >= 6 and "." not in value and value.islower()
    return True
