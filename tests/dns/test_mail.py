"""E-mail addresses: what is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.dns.mail import parse_mail_address

LOCAL = "the local part of an e-mail address"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Someone@Example.COM", "someone@example.com"),
        ("some.one+tag@example.com.", "some.one+tag@example.com"),
        ("!#$%&'*/=?^_`{|}~-@example.com", "!#$%&'*/=?^_`{|}~-@example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ("info@bücher.example", "info@xn--bcher-kva.example"),
        ("a@localhost", "a@localhost"),
    ],
)
def test_what_an_address_means(text: str, address: str) -> None:
    assert parse_mail_address(text).text == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not an e-mail address: one @ stands between a local part and a domain"),
        ("example.com", "not an e-mail address: one @ stands between a local part and a domain"),
        ("a@b@example.com", "not an e-mail address: one @ stands between a local part and a domain"),
        ("@example.com", f"{LOCAL} has 1 to 64 characters"),
        ("a" * 65 + "@example.com", f"{LOCAL} has 1 to 64 characters"),
        ("a b@example.com", f"{LOCAL} is printable ASCII without blanks"),
        ("ü@example.com", f"{LOCAL} is printable ASCII without blanks"),
        ("a\x7f@example.com", f"{LOCAL} is printable ASCII without blanks"),
        ("a@", "a domain name has at least one label"),
        ("a@ example.com", "not a domain name: labels are letters, digits, - and _"),
        ("a@192.0.2.1", "the last label of a domain name is no number"),
        ("a@.example.com", "a domain name has no empty label"),
    ],
)
def test_what_is_no_address(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_mail_address(text)
    assert str(refused.value) == message


@given(st.text(max_size=40) | st.text("aB@.ü*-", max_size=30))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_mail_address(text)
    except ValueError:
        return
    assert parse_mail_address(address.text) == address
    assert address.text.isascii()
    assert address.text.count("@") == 1
