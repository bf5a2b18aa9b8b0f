"""Internationalised names: what becomes an A-label, what is refused, and what is shown in Unicode."""

import unicodedata
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.dns.unicode import to_a_labels, to_u_labels

REFUSED = "not an internationalised domain name"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),  # not composed: UTS 46 brings it into NFC
        ("straße.de", "xn--strae-oqa.de"),  # not transitional: strasse.de is another name
        ("βόλος.com", "xn--nxasmm1c.com"),  # nor is the final sigma another letter
        ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("a\u3002b\uff0ec\uff61d", "a.b.c.d"),
        ("\uff45\uff38ample.com", "example.com"),  # full width
        ("_a\u3002bü\uff0e-b\uff61c", "_a.xn--b-eha.-b.c"),
        ("_dmarc.-a-.bücher.example", "_dmarc.-a-.xn--bcher-kva.example"),  # ASCII beside it is left alone
        ("xn--zzzzzz.ü.example", "xn--zzzzzz.xn--tda.example"),
        ("שלום.example", "xn--9dbne9b.example"),
        ("क्\u200dष.example", "xn--11b2ezcw70k.example"),  # a joiner, where it has a meaning
        ("नही\u200d.example", None),  # and where it has none
        ("bü\u00adcher.example", "xn--bcher-kva.example"),  # a soft hyphen is dropped
    ],
)
def test_what_a_name_in_unicode_becomes(text: str, name: str | None) -> None:
    if name is None:
        with pytest.raises(ValueError, match=REFUSED):
            to_a_labels(text)
    else:
        assert to_a_labels(text) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("♥.example", "U+2665"),
        ("bü_cher.example", "U+005F"),
        ("bü cher.example", "U+0020"),
        ("-bü.example", "hyphen"),
        ("ab--ü.example", "hyphen"),
        ("\u0308a.example", "combining"),
        ("\u202ebü.example", "U+202E"),
        ("aא.example", "direction"),
        ("\u00ad.example", "mpty"),
        ("ü" * 60 + ".example", "long"),  # 63 characters are enough in Unicode only
        ("\ud800.example", "U+D800"),  # half of a pair, as in bytes that are no UTF-8
    ],
)
def test_what_is_refused_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        to_a_labels(text)
    assert str(refused.value).startswith(REFUSED)
    assert message in str(refused.value)


def test_nothing_is_shown_of_a_label_that_is_too_long() -> None:
    with pytest.raises(ValueError) as refused:
        to_a_labels("\x1b[2J" + "ü" * 60)
    assert str(refused.value) == "a label is longer than 63 characters"


def test_what_a_terminal_would_obey_is_escaped() -> None:
    with pytest.raises(ValueError) as refused:
        to_a_labels("\x1b[2J\u202eü")
    assert str(refused.value).isprintable()


def test_a_long_label_is_refused_at_once() -> None:
    start = process_time()
    for _ in range(100):
        with pytest.raises(ValueError, match="longer than 63"):
            to_a_labels("ü" * 100_000)
    # The library takes minutes for these.
    assert process_time() - start < 5


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("xn--bcher-kva.example", "bücher.example"),
        ("xn--strae-oqa.de", "straße.de"),
        ("xn--r8jz45g.xn--zckzah", "例え.テスト"),
        ("_dmarc.xn--bcher-kva.a-", "_dmarc.bücher.a-"),
        ("example.com", "example.com"),
        # No Punycode, or nothing that needs it.
        ("xn--zzzzzz.example", "xn--zzzzzz.example"),
        ("xn--.example", "xn--.example"),
        ("xn--a.example", "xn--a.example"),
        ("xn--abc-.example", "xn--abc-.example"),
        ("xn--" + "9" * 59, "xn--" + "9" * 59),
        # From right to left, which would move the text beside it.
        ("xn--9dbne9b.example", "xn--9dbne9b.example"),
        # With a joiner, which is allowed here, but not seen.
        ("xn--11b2ezcw70k.example", "xn--11b2ezcw70k.example"),
        # A heart, and a character that turns the text around: both are no letters.
        ("xn--g6h.example", "xn--g6h.example"),
    ],
)
def test_what_is_shown(name: str, shown: str) -> None:
    assert to_u_labels(name) == shown


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u200b", "\u200d", "\u2066", "\u00a0", "\x1b", "\uff0e", "/", "A", "\uff71"]
)
def test_a_hidden_character_is_never_shown(hidden: str) -> None:
    label = "xn--" + f"b{hidden}ü".encode("punycode").decode()
    assert to_u_labels(f"{label}.example") == f"{label}.example"


@given(st.text(max_size=30) | st.text("aüß-_.。א٣ш\u200dE", max_size=20))
def test_any_text_becomes_ascii_that_stays_what_it_is_or_is_refused(text: str) -> None:
    try:
        name = to_a_labels(text)
    except ValueError:
        return
    assert name.isascii()
    assert name == name.lower()
    assert to_a_labels(name) == name
    assert to_a_labels(to_u_labels(name)) == name


@given(st.text("abc0-", max_size=40).map("xn--".__add__))
def test_what_is_shown_of_any_a_label_is_safe_and_means_the_same(label: str) -> None:
    shown = to_u_labels(label)
    assert shown == label or to_a_labels(shown) == label
    assert shown.isprintable()
    assert not {"R", "AL", "AN"} & set(map(unicodedata.bidirectional, shown))
