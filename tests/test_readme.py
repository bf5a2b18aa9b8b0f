"""The README quotes the files that the end-to-end tests run, and names every setting, flag and metric that there is."""

import re
from pathlib import Path

import pytest

from dnsbl_server.config import Settings

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
# The files that are quoted without their comments, and what begins one.
QUOTED = {
    "unbound.conf": "#",
    "named.conf": "//",
    "postfix-main.cf": "#",
    "exim-acl.conf": "#",
    "rspamd-rbl.conf": "#",
    "spamassassin.cf": "#",
}


@pytest.mark.parametrize("name", QUOTED)
def test_configurations_are_quoted_as_they_are(name: str) -> None:
    lines = (REPOSITORY / "contrib" / name).read_text().splitlines()
    code = "\n".join(line for line in lines if not line.strip().startswith(QUOTED[name]))
    quoted = re.sub(r"\n{3,}", "\n\n", code).strip("\n")
    assert f"```\n{quoted}\n```" in README


def test_files_that_are_named_are_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 10
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_every_setting_has_a_line_in_the_sample() -> None:
    sample = (REPOSITORY / "dnsbl-server.yaml").read_text()
    assert [name for name in Settings.model_fields if not re.search(rf"^(# )?{name}:", sample, re.MULTILINE)] == []


def test_every_metric_is_named() -> None:
    source = "".join(path.read_text() for path in (REPOSITORY / "dnsbl_server").glob("*/metrics.py"))
    counters = re.findall(r'CounterMetricFamily\(\s*"(dnsbl_\w+)"', source)
    gauges = re.findall(r'GaugeMetricFamily\(\s*"(dnsbl_\w+)"', source)
    assert len(counters) > 2
    assert len(gauges) > 5
    assert [name for name in [*gauges, *(f"{name}_total" for name in counters)] if f"`{name}`" not in README] == []
