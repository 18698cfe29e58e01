"""Words that a store gives away and is given back: nobody else can read them, nor make others."""

import os
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

__all__ = ["MAX_SEALED", "seal", "unseal"]

MAX_SEALED: Final = 64
"""Bytes that can be sealed: as many as one hash covers."""
_NONCE: Final = 8
_MARK: Final = 8


def seal(key: bytes, data: bytes) -> str:
    """
    Return *data* as a word of hexadecimal digits that only *key* opens; another one each time.

    Args:
        key: Up to 64 bytes.
        data: Up to `MAX_SEALED` bytes.
    """
    nonce = os.urandom(_NONCE)
    return (nonce + _mark(key, nonce, data) + _crossed(key, nonce, data)).hex()


def unseal(key: bytes, word: str) -> bytes | None:
    """Return what `seal` was given; None if *word* was not made with *key*."""
    try:
        whole = bytes.fromhex(word)
    except ValueError:
        return None
    nonce, mark, rest = whole[:_NONCE], whole[_NONCE : _NONCE + _MARK], whole[_NONCE + _MARK :]
    if len(rest) > MAX_SEALED:
        return None
    data = _crossed(key, nonce, rest)
    return data if compare_digest(mark, _mark(key, nonce, data)) else None


def _crossed(key: bytes, nonce: bytes, data: bytes) -> bytes:
    stream = blake2b(nonce, key=key, person=b"llmobs seal").digest()
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))


def _mark(key: bytes, nonce: bytes, data: bytes) -> bytes:
    return blake2b(nonce + data, digest_size=_MARK, key=key, person=b"llmobs mark").digest()
