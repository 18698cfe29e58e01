"""Numbers that states give to people: valid ones by another's reckoning (python-stdnum), and near misses."""

from __future__ import annotations

import pytest

from llmobs.redaction.scan import find

VALID = {
    "9458250803": "SVNR ",  # at-svnr
    "1299050356": "SVNR ",  # at-svnr
    "358952548": "TFN ",  # au-tfn
    "197340260": "TFN ",  # au-tfn
    "89.07.09-168.25": "it is ",  # be-rrn
    "81.07.15-986.23": "it is ",  # be-rrn
    "129.400.957-52": "it is ",  # br-cpf
    "658.760.427-73": "it is ",  # br-cpf
    "589 788 488": "it is ",  # ca-sin
    "524 705 258": "it is ",  # ca-sin
    "756.3773.1225.82": "it is ",  # ch-ahv
    "756.6522.9891.53": "it is ",  # ch-ahv
    "84.507.438-0": "it is ",  # cl-rut
    "13.530.321-6": "it is ",  # cl-rut
    "110105196701025164": "it is ",  # cn-ric
    "110105190610181906": "it is ",  # cn-ric
    "330221/4289": "it is ",  # cz-rc
    "020808/9728": "it is ",  # cz-rc
    "86149056371": "Steuer-ID: ",  # de-idnr
    "60457737299": "Steuer-ID: ",  # de-idnr
    "89230604B": "it is ",  # es-dni
    "91641915W": "it is ",  # es-dni
    "230535-2875": "it is ",  # fi-hetu
    "120934-528T": "it is ",  # fi-hetu
    "147126279839755": "it is ",  # fr-nir
    "267058813905785": "it is ",  # fr-nir
    "954 196 3714": "it is ",  # gb-nhs
    "515 635 3835": "it is ",  # gb-nhs
    "1875890F": "it is ",  # ie-pps
    "7806292T": "it is ",  # ie-pps
    "2303 3835 2828": "it is ",  # in-aadhaar
    "2189 2407 6814": "it is ",  # in-aadhaar
    "YAVHUU68A03H501Y": "it is ",  # it-cf
    "YTGDDC17A04H501D": "it is ",  # it-cf
    "177902371": "BSN ",  # nl-bsn
    "020990467": "BSN ",  # nl-bsn
    "24092717204": "it is ",  # no-fnr
    "16082823526": "it is ",  # no-fnr
    "63012679938": "PESEL: ",  # pl-pesel
    "09121992160": "PESEL: ",  # pl-pesel
    "1260727122301": "it is ",  # ro-cnp
    "1291214126601": "it is ",  # ro-cnp
    "040426-9649": "it is ",  # se-pnr
    "971201-0892": "it is ",  # se-pnr
    "70461182874": "TC Kimlik ",  # tr-tckn
    "63682361746": "TC Kimlik ",  # tr-tckn
    "0708077890083": "it is ",  # za-id
    "3005215918083": "it is ",  # za-id
}


@pytest.mark.parametrize("number", VALID)
def test_a_valid_number_is_found(number: str) -> None:
    text = f"{VALID[number]}{number}, please"
    (span,) = find(text, ["national_id"])
    assert text[span.start : span.end] == number
    assert find(text, ["email"]) == []


@pytest.mark.parametrize("number", VALID)
def test_one_of_another_checksum_is_not(number: str) -> None:
    at = max(n for n, char in enumerate(number) if char.isdigit())
    others = [
        number[:at] + digit + number[at + 1 :] for digit in "0123456789" if digit != number[at]
    ]
    found = [other for other in others if find(f"{VALID[number]}{other}, please", ["national_id"])]
    # Some are valid after all: in another country, or of an alphabet that has room for two.
    assert len(found) <= 2


def test_bare_digits_need_a_word_and_tables_are_left_alone() -> None:
    assert find("44051401359, 123456782", ["national_id"]) == []
    table = "2111 1764 2077\n6954 2234 2346\n3675 9834 6012"
    assert find(table, ["national_id"]) == []
