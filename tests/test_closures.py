"""What a process imports stays small: the loader is started for every change, and a library that is loaded can fail."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from dnsbl_server import __version__
from tests.serving import PATIENCE

pytestmark = pytest.mark.server

CONTROL = ("dnsbl_server.sources", "dnsbl_server.compiler", "dnsbl_server.supply")
DATA = ("dnsbl_server.answer.respond", "dnsbl_server.engine")
# What a module must not bring with it, by module.
FORBIDDEN = {
    "dnsbl_server": ("importlib.metadata", "dnsbl_server."),
    "dnsbl_server.supply.loader": (
        *("asyncio", "pydantic", "click", "rich", "prometheus_client", "watchfiles", "logging"),
        *("importlib.metadata", "subprocess", *DATA),
    ),
    "dnsbl_server.engine.service": ("yaml", "pydantic", "click", "rich", *CONTROL),
    "dnsbl_server.engine.udp": ("yaml", "pydantic", "click", "rich", *CONTROL),
    "dnsbl_server.engine.tcp": ("yaml", "pydantic", "click", "rich", *CONTROL),
    "dnsbl_server.engine.binding": ("yaml", "pydantic", "click", "rich", *CONTROL),
    "dnsbl_server.engine.metrics": ("yaml", "pydantic", "click", "rich", *CONTROL),
    "dnsbl_server.answer.respond": ("yaml", "asyncio", *CONTROL),
    "dnsbl_server.table.table": ("yaml", "asyncio", *CONTROL),
    "dnsbl_server.dns.message": ("yaml", "asyncio", *CONTROL),
    "dnsbl_server.supply.plan": ("asyncio", "yaml", "socket", "dnsbl_server.compiler"),
    "dnsbl_server.explain": ("asyncio", "pydantic", "click", "rich", "prometheus_client"),
}
LIST = """
import sys
import {module}
print(*sys.modules)
"""


def imported_by(module: str) -> list[str]:
    """The modules that are loaded in a process that imports nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", LIST.format(module=module)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("module", FORBIDDEN)
def test_a_module_does_not_bring_what_it_must_not(module: str) -> None:
    imported = imported_by(module)
    assert module in imported
    found = [
        name
        for name in imported
        for forbidden in FORBIDDEN[module]
        if name == forbidden or (name.startswith(f"{forbidden.removesuffix('.')}.") and name != module)
    ]
    assert found == []


def test_the_version_is_that_of_the_installed_package() -> None:
    assert version("dnsbl-server") == __version__
