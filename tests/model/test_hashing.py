"""Hashes of e-mail addresses: those that SpamAssassin and rspamd ask for, and what is taken for one."""

from itertools import product

import pytest

from dnsbl_server.model.hashing import ALGORITHMS, ALPHABETS, Hashing, MailAddress

ALL = [Hashing(algorithm, encoding) for algorithm, encoding in product(ALGORITHMS, ALPHABETS)]
# What each program put on the wire for someone@spam.com: SpamAssassin 4.0.1 base32, rspamd 3.4 zbase32, both hex.
LABELS = {
    Hashing("md5", "hex"): "810250c761c370eb6eb2397ff7ff73ee",
    Hashing("sha1", "hex"): "a7a04294baec3eae8c0a7af18bd11dfc00b5c447",
    Hashing("sha256", "base32"): "qwsgo4bavfj5io4dyzvbmb3edol6bqz3z22aludoypcqhqqjfika",
    Hashing("md5", "zbase32"): "bwyyid8cdghsqzjs339q99xqq8",
    Hashing("sha1", "zbase32"): "8fefrkkzczxhkgkb4mhzaezdh8ykmn9e",
    Hashing("sha256", "zbase32"): "frjxgabrj7we77cogs4ctdoc5afb6bx8qgpmye5pdqt8yb8bkbfy",
}


@pytest.mark.parametrize(("hashing", "label"), LABELS.items())
def test_the_label_is_what_the_programs_ask_for(hashing: Hashing, label: str) -> None:
    assert hashing.label_of("someone@spam.com") == label
    assert hashing.label_of("SomeOne@Spam.COM") == label


@pytest.mark.parametrize("hashing", ALL)
def test_a_label_has_its_size_and_is_one(hashing: Hashing) -> None:
    label = hashing.label_of("someone@spam.com")
    assert len(label) == hashing.size
    assert hashing.is_label(label)
    assert not hashing.is_label(label[1:])
    assert not hashing.is_label(label + label[0])
    assert not hashing.is_label(label[1:] + "\n")
    assert not hashing.is_label(label[1:] + "A")


@pytest.mark.parametrize(
    ("encoding", "absent"), [("hex", "gxz"), ("base32", "0189"), ("zbase32", "02lv")], ids=["hex", "base32", "zbase32"]
)
def test_a_label_has_the_characters_of_its_encoding(encoding: str, absent: str) -> None:
    hashing = Hashing("md5", encoding)
    for character in "abcdefghijklmnopqrstuvwxyz0123456789-_":
        is_one = hashing.is_label(character * hashing.size)
        assert is_one == (character in hashing.alphabet)
        assert not (is_one and character in absent)


def test_only_sha256_in_hex_is_too_long_for_a_label() -> None:
    assert [hashing for hashing in ALL if not hashing.fits] == [Hashing("sha256", "hex")]
    assert [hashing.size for hashing in ALL] == [32, 26, 26, 40, 32, 32, 64, 52, 52]


def test_a_mail_address_shows_its_text() -> None:
    assert str(MailAddress("a@example.com")) == "a@example.com"
