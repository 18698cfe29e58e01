# ruff: noqa: RUF001 - other alphabets are what this is about
"""The same secret is found in the ways of writing of other tools, languages and formats; their neighbours stay."""

from __future__ import annotations

import json
import time

import pytest

from llmobs.redaction.kinds import DEFAULT_KINDS, KINDS
from llmobs.redaction.plain import in_plain_characters
from llmobs.redaction.redactor import Redactor, redact_text
from llmobs.redaction.scan import find, glance_at
from llmobs.runtime.time_slices import finish

KEY, CARD, MAIL = "[REDACTED_KEY]", "[REDACTED_CC]", "[REDACTED_EMAIL]"


@pytest.mark.parametrize("gap", ["\u00a0", "\u202f", "\u2007", "\u2009", "\u3000", "\u2011", "."])
@pytest.mark.parametrize("around", ["", "€ "])
def test_cards_in_groups_however_these_are_parted(gap: str, around: str) -> None:
    text = f"{around}{gap.join(['4111'] + ['1111'] * 3)}"
    assert glance_at(text)
    assert redact_text(text) == f"{around}{CARD}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("４１１１１１１１１１１１１１１１", CARD),
        ("卡号：４１１１ １１１１ １１１１ １１１１，谢谢", f"卡号：{CARD}，谢谢"),
        ("DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000", "[REDACTED_IBAN]"),
        ("ＤＥ８９３７０４００４４０５３２０１３０００", "[REDACTED_IBAN]"),
        ("123\u201145\u20116789", "[REDACTED_SSN]"),
        ("ann%2540example.com", MAIL),
        ("q=ann%252540example.com&x=1", f"q={MAIL}&x=1"),
        ("write to ann [at] example.com.", f"write to {MAIL}."),
        ("ann.lee[at]example[dot]com", MAIL),
        ("ann [at] mail [dot] example [dot] com, please", f"{MAIL}, please"),
    ],
)
def test_numbers_and_addresses(text: str, expected: str) -> None:
    assert glance_at(text)
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "version 4111.1111.1111.1111.5", "v4111.1111.1111.1111", "lib-4111.1111.1111.1111",
        "4111.1111.1111.1112", "4111.111111.11111", "x.4111.1111.1111.1111", "4111.1111.1111.1111.tar",
        "1234\u00a05678\u00a09012\u00a03456", "prix : 4\u202f111\u202f111 €, 1\u202f111 €",
        "4111\u00a01111\u00a01111\u00a01111\u00a02222\u00a03333", "电话：010-1234-5678，谢谢",
        "２０２４年１１月５日", "50%2540example", "100%2540", "a [at] b", "see [at] the end.", "x[at]y",
        "[at]example.com", "index[at] foo.bar", "list [at] position.first", "row[at].name", "ab[at]row.name",
    ],
)  # fmt: skip
def test_numbers_and_addresses_that_are_none(text: str) -> None:
    assert redact_text(text) is text


@pytest.mark.parametrize(
    "name",
    [
        "mot de passe ", "Mot de passe\u00a0", "mot_de_passe", "contraseña", "CONTRASEÑA", "senha", "parola",
        "Wachtwoord", "lösenord", "passord", "adgangskode", "salasana", "hasło", "heslo", "jelszó", "şifre",
        "lozinka", "Kennwort", "пароль", "Ваш пароль", "密码", "您的密码", "密碼", "パスワード", "비밀번호",
        "סיסמה", "كلمة المرور",
    ],
)  # fmt: skip
def test_names_of_other_languages(name: str) -> None:
    for sign in (": ", "=", "：", "＝") if name[-1:].isalpha() else (": ",):
        text = f"x {name}{sign}hunter22x"
        assert glance_at(text)
        assert redact_text(text) == f"x {name}{sign}{KEY}"
    assert redact_text(f'{{"{name.strip()}": "mariposa"}}') == f'{{"{name.strip()}": "{KEY}"}}'
    # Python's json spells what is not ASCII; and a text of JSON may be in a text of JSON.
    spelt, secret = json.dumps({name.strip(): "hunter22x", "n": "mariposa"}), "hunter22x"
    for text in (spelt, json.dumps(spelt), json.dumps([json.dumps([spelt])])):
        assert redact_text(text) == text.replace(secret, KEY)
    assert Redactor().value({name: "mariposa", "n": "mariposa"}) == {name: KEY, "n": "mariposa"}


@pytest.mark.parametrize(
    "text",
    [
        "mot de passe : obligatoire", "mot de passe oublié ?", "Contraseña: obligatoria",
        "contraseña: debe tener 8 caracteres", "пароль: обязательное поле", "пароль: должен содержать 8 символов",
        "密码：必须包含8个字符", "密码: 必填", "パスワード：8文字以上", "비밀번호: 필수", "Senha: mínimo",
        "la parola: amore", "parola d'ordine: ciao", "wachtwoord: vergeten", '"password": "Contraseña"',
        '"password": "Mot de passe"', '"password": "Пароль"', '"password": "密码"', '{"senha": "Mot de passe"}',
        json.dumps({"café": "hunter22x", "niña": "hunter22x", "日本": "hunter22x", "dzieło": "hunter22x"}),
        "密码：${DB_PASSWORD}", "密码保存在这里：hunter22x", "Пароли: hunter22x",
    ],
)  # fmt: skip
def test_what_other_languages_say_of_passwords(text: str) -> None:
    assert redact_text(text) is text


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("api_key => '", "'"), ("'api_key' => '", "'"), ('"password" => "', '"'), (":password=>'", "'"),
        ('"password" : "', '"'), ('{\\"password\\" : \\"', '\\"}'), ('password := "', '"'),
        ('<add key="password" value="', '"/>'), ("<property name='db.password' value='", "'/>"),
        ('<user password="', '"/>'), ('<property name="password">', "</property>"),
        ("password: >-\n  ", "\nnext: 1"), ("  password: |\n    ", "\n  next: 1"), ("apiKey: >2\r\n  ", "\r\nx: 1"),
        ("mysql -u root -p", " db"), ("mysqldump -h x -p'", "' db"), ("mysql -u mysql -h mysql.local -p", ""),
        ("sshpass -p ", " ssh -p 2222 h"), ("sshpass -p", " ssh h"), ("mongosh -u ann -p ", ""),
        ("redis-cli -h x -a ", " ping"), ("docker login -u ann -p ", " r.example"), ("7z x -p", " a.7z"),
        ("sqlcmd -S db -U sa -P '", "'"), ("curl -s -u ann:", " https://x"),
    ],
)  # fmt: skip
def test_assignments_of_other_formats_and_tools(before: str, behind: str) -> None:
    text = f"{before}hunter22x{behind}"
    assert glance_at(text)
    assert redact_text(text) == f"{before}{KEY}{behind}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pass='correct horse battery staple'", f"pass='{KEY}'"),
        ('password="correct horse battery staple" x', f'password="{KEY}" x'),
        ('"password": "big d0g likes bones"', f'"password": "{KEY}"'),
        ("password: |\n  hunter22x\n  and more\nnext: 1", f"password: |\n  {KEY}\nnext: 1"),
    ],
)
def test_passwords_of_several_words(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "password => password.length > 8", "password => isStrong2 && x", "key => value", "apiKey => fetch(apiKey)",
        "token => { return token }", "if password == stored_password1:", "password :: String8",
        "map(secret => secret.id1)", '<add key="color" value="hunter22x"/>', '<a password_hint value="hunter22x">',
        '<add key="password" value="${db.password}"/>', '<add key="password" value=""/>',
        '<input type="password" value="Password">', '<input name="password" placeholder="8 characters">',
        '<label for="password">Enter 8 characters</label>', '<string name="password">Password</string>',
        "description: >-\n  hunter22x", "password: >-\n  {{ vault.password }}", "password: | head -1",
        "passwordPolicy: |\n  at least 8", "password: |\nnext: hunter22x",
        "password='must be at least 8 characters'", 'password="Wrong format"', "password='too short'",
        '"password": "Das Passwort ist falsch"', '"password": "le champ est obligatoire"',
        'help(password="the one you got by mail 2 days ago")',
        "mkdir -p src/llmobs", "docker run -p 8080:80 x", "ssh -p 2222 host", "sshpass -p $PASS ssh -p 2222 host",
        "mysql -u root -p db", "mysql -u root -p$MYSQL_PWD db", "mysql -uroot -P3306 db", "mysqld -p3306",
        "mysql -uroot db | ssh -p2222 h", "mysql x; ls -p5x", "cp -a src dst", "redis-cli -h x", "zip -r a.zip b",
        "tool -preset fast", "mongod -p 27017", "nmap -p80,443 mysql.example", "docker login x && docker run -p 80:80",
    ],
)  # fmt: skip
def test_neighbours_of_assignments(text: str) -> None:
    assert redact_text(text) is text


_IN_JSON = ('{"%s": "hunter2x"}', '{"%s" : "hunter2x"}', "{'%s':'hunter2x'}")


def _spelt(name: str, way: str, which: slice) -> str:
    return "".join(
        way % ord(char) if at in range(len(name))[which] else char for at, char in enumerate(name)
    )


@pytest.mark.parametrize("name", ["password", "DB_PASSWD", "api_key", "clientSecret", "pwd"])
@pytest.mark.parametrize(
    ("way", "contexts"),
    [
        ("\\u%04x", _IN_JSON),
        ("\\u%04X", _IN_JSON),
        ("\\\\u%04x", ('"{\\"%s\\": \\"hunter2x\\"}"',)),
        ("%%%02x", ("a=1&%s=hunter2x&b=2", "%s=hunter2x", "https://a.example/?%s=hunter2x")),
        ("%%25%02X", ("q=https://a.example/?%s=hunter2x",)),
        ("&#%d;", ('"%s": "hunter2x"', "%s=hunter2x")),
        ("&#x%x;", ('"%s": "hunter2x"', "%s=hunter2x")),
    ],
)
def test_names_are_known_however_they_are_spelt(
    name: str, way: str, contexts: tuple[str, ...]
) -> None:
    for which in (*(slice(at, at + 1) for at in range(len(name))), slice(None), slice(0, None, 2)):
        for context in contexts:
            text = context % _spelt(name, way, which)
            assert glance_at(text)
            assert redact_text(text) == text.replace("hunter2x", KEY)


@pytest.mark.parametrize(
    "text",
    [
        r'{"p\u0061ge": "hunter2x"}', "p%61ge=hunter2x", "p&#97;ge=hunter2x", "100%=5", "50 %, or 5%25=x",
        r'{"model": "\u00fcber", "token\u0073": 12345}', "a&#x64;=5", r'"\u0070assword is: required"',
    ],
)  # fmt: skip
def test_neighbours_of_names_that_are_spelt_out(text: str) -> None:
    assert redact_text(text) is text


@pytest.mark.parametrize(
    "unit",
    [
        '"\\u0061":', "%61=", "&#97;=", "%", "\\u0061", "&#",
        "４", "４ ", "\u00a0", "4111.", "4111\u00a0", "密码：", "пароль: |\n ", "password: >\n  a", " -p", " -pa ",
        "mysql -p", "mysql -px|", "ann[at]", "a [at] a.", "[at]a[dot]", "%25", "%2540",
        ' value="', '"password" value="',
        "key => ", '"key" : ', "password='a b c d ", '="password">',
    ],
)  # fmt: skip
def test_time_grows_with_length_only(unit: str) -> None:
    def seconds(text: str) -> float:
        def once() -> float:
            begin = time.process_time()
            redact_text(text)
            return time.process_time() - begin

        return min(once() for _ in range(3))

    text = unit * (6_000 // len(unit))
    assert seconds(text * 4) < max(12 * seconds(text), 0.05)


def _wide(text: str, every: int) -> str:
    """Return *text* with characters in full width, as East Asian keyboards write them."""
    wide = (
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and n % every == 0 else c
        for n, c in enumerate(text)
    )
    return "".join(wide)


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("before", ["", "請" * 300])
@pytest.mark.parametrize("kind", sorted(DEFAULT_KINDS))
def test_full_width_characters_are_read_as_others(kind: str, before: str, every: int) -> None:
    for number in range(20):
        text = f"{before} {_wide(KINDS[kind].example(number), every)} 。"
        (span,) = find(text)
        assert (span.kind, text[span.start : span.end].strip()) == (
            kind,
            text[len(before) + 1 : -2],
        )


@pytest.mark.parametrize("every", [1, 2, 3])
def test_so_are_those_of_names(every: int) -> None:
    assert redact_text(_wide("password: ", every) + "hunter2x").endswith("[REDACTED_KEY]")
    name = _wide("password", every)
    assert Redactor().value({name: "x"}) == {name: "[REDACTED_KEY]"}


@pytest.mark.parametrize(
    "coloured",
    ["\x1b[31m{}\x1b[0m", "\\u001b[1;31m{}\\u001b[0m", "\\033[32m{}\\033[0m", "_{}_", "**{}**"],
)
@pytest.mark.parametrize("before", ["", "plain words, " * 30, "x" * 4_090 + " ", "x" * 8_185 + " "])
@pytest.mark.parametrize("kind", sorted(DEFAULT_KINDS))
def test_terminals_and_markdown_emphasise_it(kind: str, before: str, coloured: str) -> None:
    value = KINDS[kind].example(7)
    text = before + coloured.format(value)
    (span,) = find(text)
    assert text[span.start : span.end].strip("_") == value
    assert redact_text(text).startswith(before + coloured.partition("{")[0].strip("_"))


@pytest.mark.parametrize("text", ["plain words, ", "客服，谢谢。", "\\n is no colour "])
def test_a_long_text_without_such_characters_is_not_copied(text: str) -> None:
    text *= 100_000
    assert finish(in_plain_characters(text)) is text


@pytest.mark.parametrize("sign", ["\x1b[31m", "\\x1b[31m"])
def test_no_step_looks_for_colours_in_all_of_a_long_text(sign: str) -> None:
    text = "a" * 5_000_000
    assert sum(1 for _ in in_plain_characters(text)) == 4
    assert finish(in_plain_characters(text + sign)) == text + " " * len(sign)
