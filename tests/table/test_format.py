"""The numbers of the format that Python and the compiled modules share: both read and write the same sizes."""

import pytest

from dnsbl_server.table._format import ANSWER_SIZE, CODE_SIZE, TEXT_SIZE
from dnsbl_server.table.layout import ADDRESS_MARK, Answer
from dnsbl_server.table.pack import pack
from dnsbl_server.table.table import ZoneTable
from tests.asking import plain
from tests.sameness import Both
from tests.table.test_damaged import sections_of
from tests.table.test_table import INFO, NO_V6, columns4


@pytest.mark.parametrize(("codes", "texts"), [(1, 1), (3, 1), (1, 4), (7, 2)])
def test_the_sizes_of_an_answer(codes: int, texts: int) -> None:
    answer = Answer(tuple(range(codes)), ((0, "text"),) * texts, 300)
    table = pack(INFO, columns4((0, 0, 1)), NO_V6, (answer, answer), b"")
    assert len(sections_of(table)["answers"]) == 2 * (ANSWER_SIZE + CODE_SIZE * codes + TEXT_SIZE * texts)


def test_the_mark_is_the_clients_address() -> None:
    answer = Answer((0x7F000002,), ((0, f"{ADDRESS_MARK} and {ADDRESS_MARK}"),), 300)
    table = pack(INFO, columns4((0xC0000201, 0xC0000201, 1)), NO_V6, (answer,), b"")
    reply = Both([ZoneTable(table)]).check(plain(f"1.2.0.192.{INFO.zone}", 16))
    assert reply.packet is not None
    assert b"\x17192.0.2.1 and 192.0.2.1" in reply.packet
