"""Finds the words a text is about, and makes choices that depend on nothing but their inputs."""

import hashlib
import re
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

_COMMON_WORDS = """
    about above after again also because been before being below between both but came come could
    does doing done down each even every from give given have having here into just know like made
    make many more most much must need only other over please said same shall should some such tell
    than that their them then there these they this those through under until very want was were
    what when where which while will with would write your yours answer explain question help the
    and for are you can how who why not let its our out use get has had his her him she any all
    list lists step steps brief briefly short shortly concise detail details sentence word line
    bullet bullets long essay thorough
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def keywords(text: str) -> list[str]:
    """The telling words of `text`, lower case, in order, each once."""
    found = (word.lower() for word in re.findall(r"[^\W\d_][\w'-]{2,}", text))
    return list(dict.fromkeys(word for word in found if word not in _COMMON))


def number(*seeds: object) -> int:
    """A 64-bit number that is the same for the same seeds, in any process."""
    material = "\x1f".join(map(str, seeds)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(material).digest()[:8], "big")


def pick(options: Sequence[Item], *seeds: object) -> Item:
    """One of `options`, the same for the same seeds."""
    return options[number(*seeds) % len(options)]


def identifier(prefix: str, length: int, *seeds: object) -> str:
    """`prefix` and `length` hexadecimal digits, the same for the same seeds."""
    material = "\x1f".join(map(str, seeds)).encode("utf-8", "surrogatepass")
    return prefix + hashlib.sha512(material).hexdigest()[:length]
