"""Zones of the compiler's tests, loaded from texts, and what their tables say."""

from collections.abc import Callable

from dnsbl_server.model.address import parse_address
from dnsbl_server.supply.load import CompiledZone, LoadResult
from dnsbl_server.table.layout import Answer
from dnsbl_server.table.table import ZoneTable
from tests.conftest import NOW

HEAD = "zone: bl.example.org\n"


def loaded(load_texts: Callable[..., LoadResult], text: str, now: float = NOW) -> CompiledZone:
    load = load_texts(HEAD + text, now=now)
    assert not load.problems.errors
    (zone,) = load.zones.values()
    return zone


def find(zone: CompiledZone, address: str, now: float = NOW) -> Answer | None:
    return ZoneTable(zone.compiled.table).find(parse_address(address), now)


def reasons(answer: Answer | None) -> list[str]:
    return [text for _, text in answer.texts] if answer else []
