# ruff: noqa: E501, RUF001, SIM905 - a table of texts is read as a table
"""
Labelled strings: what must be found, made from the published format of each kind, and what must be
left alone, from real sources and made. Nothing here is shared with the finders.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import string
import sysconfig
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.redaction.formats import TOKENS

__all__ = ["Case", "corpus", "is_held_out", "number_rich"]


@dataclass(frozen=True)
class Case:
    """One string of the corpus."""

    text: str
    kind: str | None
    """The kind of what is to be found; None: nothing is."""
    value: str
    """What must go; empty: nothing."""
    source: str
    """The generator: a rule or a sort of innocent text."""


def is_held_out(case: Case) -> bool:
    """Whether *case* is of the third that nobody looks at while tuning."""
    return hashlib.sha256(case.text.encode("utf-8", "replace")).digest()[0] % 3 == 0


_CLASSES = {
    "w": string.ascii_letters + string.digits,
    "h": "0123456789abcdef",
    "l": string.ascii_lowercase + string.digits,
    "U": string.ascii_uppercase + string.digits,
    "A": string.ascii_uppercase,
    "u": string.ascii_letters + string.digits + "-_",
    "b": string.ascii_letters + string.digits + "+/",
    "d": string.digits,
    "2": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
}


def fill(template: str, rng: random.Random) -> str:
    """Return *template* with ``{w36}`` and the like filled."""

    def one(found: re.Match[str]) -> str:
        if found[1] == "uuid":
            return str(uuid.UUID(int=rng.getrandbits(128), version=4))
        return "".join(rng.choices(_CLASSES[found[1][0]], k=int(found[1][1:])))

    return re.sub(r"\{(\w+)\}", one, template)


# --- contexts -----------------------------------------------------------------------------------

_AROUND: tuple[Callable[[str], str], ...] = (
    lambda v: v,
    lambda v: f"Please use {v} for the next run.",
    lambda v: f"Here it is: {v}",
    lambda v: f"({v})",
    lambda v: f"<{v}>",
    lambda v: json.dumps({"role": "user", "content": f"my data is {v}, thanks"}),
    lambda v: json.dumps(json.dumps({"input": ["x", v]})),
    lambda v: f"2024-05-01T10:00:00Z INFO worker-3 handled item {v} in 12 ms",
    lambda v: f"| name | value |\n|------|-------|\n| a | {v} |\n",
    lambda v: f"first line\n{v}\nlast line",
    lambda v: f"值是 {v}，谢谢",
    lambda v: f"x = ['{v}', None]",
    lambda v: f"curl https://api.example.net/v1 -d '{v}'",
    lambda v: f"- {v}\n- other",
    lambda v: f"Is it `{v}`?",
)


# --- what must be found -------------------------------------------------------------------------

_NAMES = "ann bob carla dmitri eve farid grace hugo ines jan kim lee mia nils olga pat".split()
_FAMILIES = "smith o'brien garcia mueller li kowalski rossi tanaka silva dubois".split()
_HOSTS = "example acme-corp mail.initech uni-wien.ac globex hooli.co my-shop dept.state".split()
_TOPS = "com org net de at fr co.uk io dev ai app info eu ch nl se pl jp com.br email cloud museum".split()


def _email(rng: random.Random) -> str:
    name, family = rng.choice(_NAMES), rng.choice(_FAMILIES)
    local = rng.choice(
        [
            name,
            f"{name}.{family}",
            f"{name}+news",
            f"{name}_{family}{rng.randrange(99)}",
            f"{name[0]}.{family}",
            f"{name}-{rng.randrange(2000)}",
        ]
    )
    address = f"{local}@{rng.choice(_HOSTS)}.{rng.choice(_TOPS)}"
    return address.upper() if rng.random() < 0.05 else address


def _written_email(rng: random.Random) -> str:
    local, _, domain = (
        f"{rng.choice(_NAMES)}.{rng.choice('abcdef')}@{rng.choice(_HOSTS)}.{rng.choice(_TOPS)}".partition(
            "@"
        )
    )
    sign = rng.choice(
        ["%40", "\\u0040", "&#64;", "&#x40;", "\uff20", "\ufe6b", "@\u200b", "\u200b@", "@"]
    )
    domain = (
        domain
        if sign != "@"
        else rng.choice(["münchen.de", "почта.рф", "例え.jp", "xn--mnchen-3ya.de"])
    )
    return local + sign + domain


def luhn(number: str) -> str:
    """Return *number* with its check digit."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        total += sum(map(int, str(int(digit) * (2 - place % 2))))
    return number + str((10 - total % 10) % 10)


_ISSUED = (
    ("4", 16), ("4", 16), ("4", 13), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15),
    ("37", 15), ("6011", 16), ("65", 16), ("644", 16), ("36", 14), ("3528", 16), ("3589", 16),
    ("62", 16), ("62", 19), ("6304", 19), ("5018", 16), ("2200", 16),
)  # fmt: skip


def _card(rng: random.Random) -> str:
    begin, size = rng.choice(_ISSUED)
    number = luhn(begin + "".join(rng.choices(string.digits, k=size - 1 - len(begin))))
    gap = rng.choice(["", "", " ", "-"])
    groups = (4, 6, 5) if size == 15 else (4, 6, 4) if size == 14 else (4,) * 5
    parts, rest = [], number
    for group in groups:
        parts.append(rest[:group])
        rest = rest[group:]
    return gap.join(part for part in parts if part)


def _ssn(rng: random.Random) -> str:
    area = rng.choice([n for n in range(1, 900) if n != 666])
    return f"{area:03}-{rng.randrange(1, 100):02}-{rng.randrange(1, 10000):04}"


_BBANS = (
    "AT{d16}", "BE{d12}", "CH{d17}", "CZ{d20}", "DE{d18}", "DK{d14}", "ES{d20}", "FI{d14}",
    "FR{d10}{d11}{d2}", "GB{A4}{d14}", "IE{A4}{d14}", "IT{A1}{d10}{d12}", "LU{d3}{d13}", "NL{A4}{d10}",
    "NO{d11}", "PL{d24}", "PT{d21}", "SE{d20}", "HU{d24}", "GR{d7}{d16}", "LT{d16}", "LV{A4}{d13}",
    "BG{A4}{d6}{d8}", "HR{d17}", "SK{d20}", "SI{d15}", "SA{d2}{d18}", "AE{d19}", "TR{d5}0{d16}",
    "MT{A4}{d5}{d18}", "IL{d19}", "EE{d16}", "CY{d8}{d16}", "RS{d18}", "PK{A4}{d16}",
)  # fmt: skip


def _iban(rng: random.Random) -> str:
    filled = fill(rng.choice(_BBANS), rng)
    country, account = filled[:2], filled[2:]
    value = "".join(
        str(string.digits.find(c)) if c.isdigit() else str(ord(c) - 55)
        for c in account + country + "00"
    )
    number = f"{country}{98 - int(value) % 97:02}{account}"
    return (
        number
        if rng.random() < 0.5
        else " ".join(number[n : n + 4] for n in range(0, len(number), 4))
    )


def _password(rng: random.Random) -> str:
    while True:
        word = "".join(
            rng.choices(string.ascii_letters + string.digits + "!#%+-_.?*", k=rng.randrange(8, 20))
        )
        if any(map(str.isdigit, word)) and word[0].isalnum() and word[-1].isalnum():
            return word


_SECRET_NAMES = (
    "password", "passwd", "DB_PASSWORD", "db.password", "userPassword", "client_secret", "API_KEY", "apiKey",
    "api-key", "secret_key", "SECRET_KEY", "aws_secret_access_key", "access_token", "refreshToken",
    "private_key", "authToken", "pwd", "passphrase", "X-API-Key", "connectionString", "webhook_secret",
)  # fmt: skip


def _assigned(rng: random.Random) -> tuple[str, str]:
    name, value = rng.choice(_SECRET_NAMES), _password(rng)
    quoted = json.dumps({"id": 7, name: value, "on": True})
    text = rng.choice(
        [
            quoted,
            json.dumps(quoted),
            json.dumps({"id": 7, name: value}, indent=2),
            repr({name: value}),
            f"{name}={value}\nDEBUG=1\n",
            f"export {name}={value}",
            f"{name} = {value}",
            f'{name} = "{value}"',
            f"{name}='{value}'",
            f"db:\n  {name}: {value}\n  port: 5432\n",
            f'  {name}: "{value}"',
            f"https://api.example.net/v1/items?page=2&{name}={value.replace('#', '0').replace('%', '1').replace('?', '2').replace('+', '3')}&sort=asc",
            f"run --verbose --{name.lower().replace('_', '-').replace('.', '-')} {value} --dry-run",
            f"run --{name.lower().replace('_', '-').replace('.', '-')}={value}",
            f"Server=db;Database=app;User Id=sa;Password={value};Encrypt=True",
            f"<{name}>{value}</{name}>",
        ]
    )
    for form in (
        value,
        value.replace("#", "0").replace("%", "1").replace("?", "2").replace("+", "3"),
    ):
        if form in text:
            return text, form
    raise AssertionError(text)


def _header(rng: random.Random) -> tuple[str, str]:
    token = fill("{u32}7", rng)
    basic = base64.b64encode(f"{rng.choice(_NAMES)}:{_password(rng)}".encode()).decode()
    name, value, secret = rng.choice(
        [
            ("Authorization", f"Bearer {token}", token),
            ("authorization", f"bearer {token}", token),
            ("AUTHORIZATION", f"Token {token}", token),
            ("Authorization", f"Basic {basic}", basic),
            ("Proxy-Authorization", f"Basic {basic}", basic),
            ("proxy-authorization", f"Bearer {token}", token),
            ("X-API-Key", token, token),
            ("x-api-key", token, token),
            ("Cookie", f"sessionid={token}; theme=dark", token),
            ("Set-Cookie", f"sid={token}; Path=/; HttpOnly", token),
            ("cookie", f"a=b; session={token}", token),
        ]
    )
    return rng.choice(
        [
            f"GET / HTTP/1.1\r\nHost: example.net\r\n{name}: {value}\r\nAccept: */*\r\n\r\n",
            f"curl -H '{name}: {value}' https://example.net",
            f'curl -H "{name}: {value}" https://example.net',
            json.dumps({"headers": {"accept": "*/*", name: value}}),
            json.dumps(json.dumps({"headers": {name: value}})),
            repr({"accept": "*/*", name: value}),
        ]
    ), secret


def _url(rng: random.Random) -> tuple[str, str]:
    scheme = rng.choice(
        [
            "postgres",
            "postgresql+asyncpg",
            "mysql",
            "redis",
            "amqp",
            "mongodb+srv",
            "https",
            "ftp",
            "smtp",
        ]
    )
    password = _password(rng).replace("#", "x").replace("?", "y").replace("%", "z")
    return f"{scheme}://{rng.choice(_NAMES)}:{password}@db.example.net:5432/app", password


_ARMOURS = (
    "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK",
)  # fmt: skip


def _private_key(rng: random.Random) -> tuple[str, str]:
    body = base64.b64encode(rng.randbytes(rng.randrange(120, 600))).decode()
    lines = [body[n : n + 64] for n in range(0, len(body), 64)]
    armour = rng.choice(_ARMOURS)
    head = []
    if "RSA" in armour and rng.random() < 0.4:
        head = ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0011223344556677", ""]
    if "PGP" in armour:
        head = ["Version: GnuPG v2", ""]
    shape = rng.randrange(5)
    if shape == 4:
        text = "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: me\nPublic-Lines: 1\nAAAA\nPrivate-Lines: {}\n{}\nPrivate-MAC: {}\n".format(
            len(lines), "\n".join(lines), fill("{h64}", rng)
        )
        return text, lines[0]
    text = "\n".join([f"-----BEGIN {armour}-----", *head, *lines, f"-----END {armour}-----"])
    if shape == 1:
        text = text[: len(text) * 2 // 3]
    if shape == 2:
        text = "key: |\n" + "\n".join("    " + line for line in text.split("\n"))
    if shape == 3:
        text = json.dumps({"type": "service_account", "private_key": text + "\n"})
    return text, lines[0]


def _jwt(rng: random.Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    signature = base64.urlsafe_b64encode(rng.randbytes(32)).decode().rstrip("=")
    return f"{part({'alg': rng.choice(['HS256', 'RS256', 'ES256']), 'typ': 'JWT'})}.{part({'sub': str(rng.randrange(10**9)), 'iat': 1700000000})}.{signature}"


def _as_written(value: str, text: str) -> str:
    """Return *value* with as many escapes as it has in *text*."""
    while value not in text:
        value = json.dumps(value)[1:-1]
    return value


def _positives(rng: random.Random, scale: float) -> Iterator[Case]:
    def some(count: int) -> range:
        return range(max(3, int(count * scale)))

    for source, make, kind, count in (
        ("address", _email, "email", 260),
        ("address, written otherwise", _written_email, "email", 120),
        ("card", _card, "card", 300),
        ("ssn", _ssn, "ssn", 120),
        ("iban", _iban, "iban", 200),
        ("jwt", _jwt, "secret", 60),
    ):
        for _ in some(count):
            value = make(rng)
            text = rng.choice(_AROUND)(value)
            yield Case(text, kind, _as_written(value, text), source)
    for rule, templates in TOKENS.items():
        for template in templates:
            for _ in some(4):
                value = fill(template, rng)
                text = rng.choice(_AROUND)(value)
                yield Case(text, "secret", value.rpartition("/services/")[2], rule)
    for source, pair, count in (
        ("assignment", _assigned, 300),
        ("header", _header, 200),
        ("url", _url, 80),
        ("private key", _private_key, 100),
    ):
        for _ in some(count):
            text, value = pair(rng)
            yield Case(text, "secret", value, source)


# --- kinds that are off by default ----------------------------------------------------------------

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MONTHS = (
    "January February March April May June July August September October November December".split()
)
_STREETS = (
    "Elm Oak Main Church Park Mill Station Victoria High King Queen Washington Lake Hill".split()
)
_WAYS = "Street Avenue Road Lane Drive Boulevard Court Square Terrace St Ave Rd Blvd".split()
_GERMAN = "Linden Haupt Bahnhof Garten Schiller Goethe Kirch Wald Berg Ring Mozart Wiesen".split()


def _ip(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return ".".join(str(rng.randrange(1, 255)) for _ in range(4))
    groups = [f"{rng.getrandbits(16):x}" for _ in range(8)]
    return rng.choice(
        [":".join(groups), ":".join(groups[:3]) + "::" + groups[7], "fe80::" + ":".join(groups[4:])]
    )


def _mac(rng: random.Random) -> str:
    text = rng.choice([":", "-"]).join(f"{rng.getrandbits(8):02x}" for _ in range(6))
    return rng.choice([text, text.upper()])


def _phone(rng: random.Random) -> str:
    def d(count: int) -> str:
        return "".join(rng.choices(string.digits, k=count))

    area, exchange = f"{rng.randrange(2, 10)}{d(2)}", f"{rng.randrange(2, 10)}{d(2)}"
    return rng.choice(
        [
            f"+1 {area} {exchange} {d(4)}", f"+1-{area}-{exchange}-{d(4)}", f"({area}) {exchange}-{d(4)}",
            f"{area}-{exchange}-{d(4)}", f"{area}.{exchange}.{d(4)}", f"+44 20 7{d(3)} {d(4)}",
            f"+49 30 {d(7)}", f"+43 1 {d(5)} {d(3)}", f"+33 6 {d(2)} {d(2)} {d(2)} {d(2)}", f"+86 138 {d(4)} {d(4)}",
            f"+{rng.choice(['44', '49', '33', '91', '81'])}{rng.randrange(1, 10)}{d(9)}",
        ]
    )  # fmt: skip


def _born(rng: random.Random) -> tuple[str, str]:
    year, month, day = rng.randrange(1930, 2015), rng.randrange(1, 13), rng.randrange(1, 29)
    date = rng.choice(
        [
            f"{year}-{month:02}-{day:02}", f"{day:02}/{month:02}/{year}", f"{day}.{month}.{year}",
            f"{_MONTHS[month - 1]} {day}, {year}", f"{day} {_MONTHS[month - 1]} {year}",
        ]
    )  # fmt: skip
    before = rng.choice(
        [
            "born on ",
            "born ",
            "date of birth: ",
            "DOB ",
            "Date of Birth ",
            "birthday: ",
            "geboren am ",
            "d.o.b. ",
        ]
    )
    return f"The patient, {before}{date}, was seen today.", date


def _address(rng: random.Random) -> str:
    number = rng.randrange(1, 9999)
    if rng.random() < 0.5:
        return f"{number} {rng.choice(_STREETS)} {rng.choice(_WAYS)}"
    return f"{rng.choice(_GERMAN)}{rng.choice(['straße', 'gasse', 'weg', 'platz', 'allee'])} {number % 300}"


def _wallet(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return "0x" + rng.choice([str.lower, str.upper])(f"{rng.getrandbits(160):040x}")
    data = rng.choice([b"\x00", b"\x05"]) + rng.randbytes(20)
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data), ""
    while number:
        number, rest = divmod(number, 58)
        text = _BASE58[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def _national(rng: random.Random) -> str:
    number = rng.randrange(10**7, 10**8)
    if rng.random() < 0.3:
        return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"  # Spain
    if rng.random() < 0.3:  # France
        body = f"{rng.choice('12')}{rng.randrange(100):02}{rng.randrange(1, 13):02}{rng.randrange(1, 96):02}"
        body += f"{rng.randrange(1, 990):03}{rng.randrange(1, 1000):03}"
        return f"{body}{97 - int(body) % 97:02}"
    if rng.random() < 0.5:  # Brazil
        digits = [rng.randrange(10) for _ in range(9)]
        for count in (9, 10):
            total = sum(digits[n] * (count + 1 - n) for n in range(count))
            digits.append(total * 10 % 11 % 10)
        text = "".join(map(str, digits))
        return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"
    first = rng.choice(["AB", "CE", "HL", "JK", "PR", "WM"])  # Great Britain
    return f"{first} {number // 10**6:02} {number // 10**4 % 100:02} {number // 100 % 100:02} {rng.choice('ABCD')}"


def _off_by_default(rng: random.Random, scale: float) -> Iterator[Case]:
    for kind, make in (
        ("ip", _ip), ("mac", _mac), ("phone", _phone), ("address", _address), ("crypto", _wallet),
        ("national_id", _national),
    ):  # fmt: skip
        for _ in range(max(3, int(150 * scale))):
            value = make(rng)
            text = rng.choice(_AROUND)(value)
            yield Case(text, kind, _as_written(value, text), kind)
    for _ in range(max(3, int(150 * scale))):
        text, value = _born(rng)
        yield Case(text, "birth_date", value, "birth date")


# --- what must be left alone --------------------------------------------------------------------

_INNOCENT = (
    "np.dot(a@b.shape)", "y = x@w.T + b", "q@k.transpose(-2, -1)", "(a@b).sum()", "h = W@x.view(-1, 8)",
    "git@github.com:org/repo.git", "git clone git@gitlab.example.com:group/sub/project.git",
    "ssh://git@github.com/org/repo", "npm i @types/node @angular/core@17.0.0 react@18.2.0",
    "pnpm add lodash@latest", "uses: actions/checkout@v4", "@app.get('/x')", "@dataclass(frozen=True)",
    "thanks @ann.lee and @bob", "pip install pkg@git+https://github.com/a/b", "root@10.0.0.1:/srv",
    "image: repo/app@sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "max_tokens=4096, token_count: 128", '{"token": "Hello", "logprob": -0.31}', '"total_tokens": 1234567',
    "password: required", "the password must have 12 characters", "Password: ********", "api_key=os.environ['API_KEY']",
    "password = getpass.getpass()", "token = self._next_token(stream)", "secret: Optional[str] = None",
    "def login(user, password=None, token=None):", "client = Client(api_key=api_key, secret=secret)",
    'headers["Authorization"] = f"Bearer {token}"', "Authorization: Bearer <token>", "password=${DB_PASSWORD}",
    "PASSWORD={{ vault.password }}", '"password": "string"', "<input type=password name=password>",
    "tokenizer.pad_token = tokenizer.eos_token", "author: Jane Doe", "the key: always test", "secret-santa 2024",
    "Cookie policy: we use cookies", "cookie: 2 eggs, 100 g of sugar", "basic English, bearer of news",
    "sk-learn-pipeline-example-two", "task-scheduler-for-kubernetes-clusters", "pk-lot-number-and-more-words",
    "IMEI 490154203237518", "IMEI: 356938035643809", "call 1-800-555-0100", "+43 1 58858 0", "10.0.0.1:8080",
    "00:1A:2B:3C:4D:5E", "ISBN 978-3-16-148410-0", "EAN 4006381333931", "v1.2.3-rc.4+build.5678",
    "1700000000000 1700000000000000", "0.4111111111111111", "SHA-256", "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqh\n-----END PUBLIC KEY-----", "AKIA is a prefix", "eyJhbGciOiJIUzI1NiJ9",
    "ab12cd34-ef56-7890-ab12-cd34ef567890", "order 123-45-67890", "part 12-34-5678", "tel 123-456-7890",
)  # fmt: skip


def _logs(rng: random.Random) -> str:
    return "\n".join(
        f"2024-0{rng.randrange(1, 9)}-1{rng.randrange(9)} 10:{rng.randrange(60):02}:{rng.randrange(60):02},{rng.randrange(999):03} "
        f"{rng.choice(['INFO', 'WARN', 'ERROR'])} [{rng.choice(['http-nio-8080', 'worker'])}-{rng.randrange(99)}] "
        f"trace={rng.getrandbits(128):032x} span={rng.getrandbits(64):016x} status={rng.choice([200, 404, 500])} "
        f"bytes={rng.randrange(10**7)} took={rng.random() * 1000:.6f}ms user_id={rng.randrange(10**9)} key={rng.choice('abc')}"
        for _ in range(4)
    )


def _table(rng: random.Random) -> str:
    width = rng.choice([4, 4, 4, 6, 8])
    gap = rng.choice([" ", " ", "  ", "\t", ", ", " | "])
    columns = rng.choice([3, 5, 6, 8])
    return "\n".join(
        gap.join(f"{rng.randrange(10 ** (width - 1), 10**width)}" for _ in range(columns))
        for _ in range(8)
    )


def _ids(rng: random.Random) -> str:
    return " ".join(
        rng.choice(
            [
                str(uuid.UUID(int=rng.getrandbits(128), version=4)), f"{rng.getrandbits(256):064x}", f"{rng.getrandbits(160):040x}",
                f"run_{rng.getrandbits(64):016x}", f"chatcmpl-{fill('{w29}', rng)}", f"req_{fill('{w24}', rng)}", f"call_{fill('{w24}', rng)}",
                f"1{rng.randrange(10**17, 10**18)}", fill("{U26}", rng), f"toolu_01{fill('{w22}', rng)}", f"msg_01{fill('{w22}', rng)}",
            ]
        )
        for _ in range(6)
    )  # fmt: skip


def _prices(rng: random.Random) -> str:
    return "; ".join(
        f"{rng.choice(['$', '€', '£'])}{rng.randrange(10**6):,}.{rng.randrange(100):02} (+{rng.random():.4f})"
        for _ in range(8)
    )


def _numbers(rng: random.Random) -> str:
    return json.dumps(
        [
            rng.choice(
                [
                    rng.random(),
                    rng.randrange(10**9),
                    rng.gauss(0, 1),
                    1700000000 + rng.randrange(10**8),
                ]
            )
            for _ in range(12)
        ]
    )


def _base64(rng: random.Random) -> str:
    size = rng.randrange(30, 600)
    return (
        rng.choice(["data:image/png;base64,", "", "body: "])
        + base64.b64encode(rng.randbytes(size)).decode()
    )


_TALK = (
    "Die Rechnung Nr. 2024-0815 über 1.284,50 € ist bis zum 15. März fällig; bitte Passwort nicht weitergeben.",
    "Le mot de passe doit contenir au moins douze caractères, dont un chiffre.",
    "La clave es escuchar: 25 personas llegaron a las 10:30 y 14 se fueron.",
    "パスワード：8文字以上で設定してください。問い合わせ番号は 2024-1105 です。",
    "密码：请设置至少8位字符，并包含数字。订单号 20241105-0012。",
    "Пароль: не менее 12 символов. Заказ № 4471 от 5 ноября 2024 года.",
    "كلمة المرور: ثمانية أحرف على الأقل. رقم الطلب 4471.",
)


def _talk(rng: random.Random) -> str:
    return " ".join(rng.sample(_TALK, 3))


_LABELLED_BY_NOBODY = re.compile(
    r"[\w.+-]+@[\w-]+\.\w|://[^\s/]*@|BEGIN [A-Z ]*PRIVATE|(?i:basic|bearer) [\w=]{8}"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"
)


def _sources(rng: random.Random, count: int) -> Iterator[str]:
    """Pieces of installed packages and the standard library, those without what may be there to be found."""
    paths = sysconfig.get_paths()
    files = sorted(Path(paths["stdlib"]).glob("*.py"))
    for package in (
        "anyio",
        "pydantic",
        "httpx2",
        "starlette",
        "pytest",
        "_pytest",
        "msgspec",
        "click",
        "rich",
        "jinja2",
        "yaml",
    ):
        files += sorted((Path(paths["purelib"]) / package).rglob("*.py"))
    while count:
        lines = rng.choice(files).read_text("utf-8", "replace").split("\n")
        begin = rng.randrange(max(1, len(lines) - 25))
        piece = "\n".join(lines[begin : begin + 25])
        if len(piece) > 100 and not _LABELLED_BY_NOBODY.search(piece):
            count -= 1
            yield piece


def _negatives(rng: random.Random, scale: float) -> Iterator[Case]:
    for text in _INNOCENT:
        for around in (_AROUND[0], _AROUND[1], _AROUND[9]):
            yield Case(around(text), None, "", "look-alike")
    for source, make, count in (
        ("log", _logs, 120), ("table", _table, 150), ("ids", _ids, 200), ("prices", _prices, 60),
        ("numbers", _numbers, 100), ("base64", _base64, 100), ("talk", _talk, 60),
    ):  # fmt: skip
        for _ in range(max(3, int(count * scale))):
            yield Case(make(rng), None, "", source)
    for piece in _sources(rng, max(3, int(500 * scale))):
        yield Case(piece, None, "", "source")


def corpus(seed: int = 13, scale: float = 1.0) -> list[Case]:
    """Return the labelled strings, the same for a *seed* and the same packages."""
    rng = random.Random(seed)
    cases = [*_positives(rng, scale), *_negatives(rng, scale)]
    return [*cases, *_off_by_default(random.Random(seed), scale)]


def number_rich(size: int, seed: int = 7) -> str:
    """Return text of ids, hashes, tables, logs and numbers."""
    rng = random.Random(seed)
    parts: list[str] = []
    while sum(map(len, parts)) < size:
        parts += (rng.choice([_logs, _table, _ids, _prices, _numbers])(rng) for _ in range(100))
    return "\n".join(parts)[:size]
