"""Names whose values are secret, whatever they are: keys of dicts, headers, variables, flags."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from llmobs.redaction.plain import plain

__all__ = ["LAST_WORDS", "PASSWORDS_ABROAD", "SECRET_NAMES", "WHOLE_WORDS", "SecretNames", "Weight"]

PASSWORDS_ABROAD: Final = (
    "motdepasse", "contraseña", "senha", "parola", "wachtwoord", "lösenord", "losenord", "passord",
    "adgangskode", "salasana", "hasło", "haslo", "heslo", "geslo", "jelszó", "jelszo", "şifre", "sifre",
    "lozinka", "пароль", "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호", "סיסמה", "كلمةالمرور",
)  # fmt: skip
"""What passwords are called in other languages; without quotes, a word behind them is no password."""
SECRET_NAMES: Final = frozenset(
    {
        "password", "passwd", "passphrase", "passcode", "passwort", "kennwort", "contrasena",
        "secret", "apikey", "accesskey", "secretkey", "privatekey", "encryptionkey",
        "signingkey", "accountkey", "storagekey", "masterkey", "subscriptionkey", "authkey",
        "sharedkey", "secretaccesskey", "sharedaccesskey", "servicekey", "licensekey",
        "authtoken", "accesstoken", "refreshtoken", "idtoken", "sessiontoken", "apitoken",
        "bearertoken", "csrftoken", "xsrftoken", "securitytoken", "bottoken", "usertoken",
        "clientsecret", "appsecret", "credential", "credentials", "connectionstring",
        "authorization", "xauth", "cookie", "cookies", "cookiejar", "setcookie", "sessioncookie", "secrettoken",
        "personalaccesstoken", "deploytoken", "privatetoken", "xsignature", "amzsignature",
        *PASSWORDS_ABROAD,
    }
)  # fmt: skip
"""A name is secret if it ends with one of these; case and what joins its words do not matter."""
WHOLE_WORDS: Final = frozenset({"pwd", "pass", "pw", "jwt", "dsn", "sig", "passwords", "secrets"})
"""These are only if they are its last word: a compass is no secret."""
_LOOSE: Final = frozenset({"token", "auth"})
"""So are these, where the value looks like one: models, too, count tokens and speak them."""
_NOT: Final = frozenset({"nopassword", "haspassword", "showpassword", "forgotpassword", "nosecret"})

LAST_WORDS: Final = (
    "password", "passwd", "phrase", "code", "wort", "contrasena", "secret", "key", "token",
    "credential", "credentials", "string", "authorization", "auth", "cookie", "signature",
    "passe", "contraseña", "senha", "parola", "oord", "nord", "sord", "kode", "salasana", "sło", "slo",
    "lszó", "lszo", "ifre", "lozinka", "пароль", "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호",
    "סיסמה", "المرور",
    *WHOLE_WORDS,
)  # fmt: skip
"""How all of these names end: a quick look tells most names apart."""

_JOINTS = re.compile(r"[-_.\s]+")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_LONGEST: Final = 72

Weight = int
"""How secret a name is: 2 whatever the value, 1 if the value looks secret, 0 not."""


class SecretNames:
    """
    Tells which names are secret.

    Args:
        more: Names of your own, as endings: ``"badge"`` is also ``Employee-Badge``.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        self.more = tuple(sorted({_JOINTS.sub("", name).lower() for name in more} - {""}))
        """The names of your own, without what joins their words."""
        self._endings = (*SECRET_NAMES, *self.more)
        self.weight = lru_cache(2_048)(self._weight)

    def _weight(self, name: str) -> Weight:
        """Return how secret *name* is."""
        if len(name) > _LONGEST:
            return 0
        name = plain(name)
        whole = _JOINTS.sub("", name).lower()
        if whole in _NOT:
            return 0
        if whole.endswith(self._endings):
            return 2
        words = _WORDS.findall(name)
        last = words[-1].lower() if words else ""
        if last in WHOLE_WORDS and (last != "sig" or whole == last):
            return 2
        return 1 if last in _LOOSE else 0
