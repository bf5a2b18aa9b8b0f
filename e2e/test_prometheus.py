"""Prometheus scrapes the server, and what contrib/ has for it works on what it finds.

promtool has nothing to say against the metrics, the scrape configuration and the alerts, and runs their unit tests; the
alerts fire when their causes are real; every query of the Grafana dashboard returns what really happened.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import dns.message
import dns.opcode
import dns.query
import pytest
import yaml

from e2e.conftest import OURS, ZONE
from e2e.daemons import until
from e2e.prometheus import CONTRIB, Prometheus
from tests.serving import PATIENCE, ServerProcess

OTHER = "feed.example.org"
# Two texts that do not fit into 512 bytes together.
TEXT = f"""\
zone: {ZONE}
lists:
  - name: traps
    txt: "{{ip}} {"x" * 300}"
    files: [traps.txt]
    entries:
      - {{net: 203.0.113.200, listed: 2026-01-01, expires: 30d}}
  - name: dynamic
    code: 127.0.0.10
    txt: "{{ip}} {"y" * 300}"
    files: [dynamic.txt]
"""
HOSTS, FEW = range(1, 201), range(1, 21)


def write(path: Path, text: str) -> None:
    """Replace a file in one step."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def addresses(net: str, hosts: range) -> str:
    return "".join(f"{net}.{host}\n" for host in hosts)


def name(address: str, zone: str = ZONE) -> str:
    return ".".join([*reversed(address.split(".")), zone])


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    directory = tmp_path / "zones"
    directory.mkdir()
    (directory / "traps.txt").write_text(addresses("192.0.2", HOSTS))
    (directory / "dynamic.txt").write_text(addresses("192.0.2", FEW))
    (directory / "bl.yaml").write_text(TEXT)
    (directory / "feed.yaml").write_text(f"zone: {OTHER}\nfiles: [feed.txt]\n")
    (directory / "feed.txt").write_text(addresses("198.51.100", HOSTS))
    return directory


@pytest.fixture
def scraped(zones: Path) -> Iterator[ServerProcess]:
    """Our server, with its metrics where contrib/prometheus.yml looks for them."""
    with ServerProcess(str(zones), "--metrics", "127.0.0.1:9353", listen=(f"{OURS}:53",)) as process:
        yield process


@pytest.fixture
def prometheus(scraped: ServerProcess, tmp_path: Path) -> Iterator[Prometheus]:
    process = Prometheus(tmp_path / "prometheus")
    with process:
        process.wait("up", 1)
        process.wait("count(dnsbl_zone_last_reload_success == 1)", 2)
        yield process


def ask(qname: str, qtype: str = "A", tcp: bool = False, **changes: Any) -> None:
    query = dns.message.make_query(qname, qtype, **changes)
    (dns.query.tcp if tcp else dns.query.udp)(query, OURS, PATIENCE)


def send(packets: list[bytes]) -> None:
    """Send packets that get no answer, and wait until the server has taken them."""
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as client:
        client.settimeout(PATIENCE)
        client.connect((OURS, 53))
        for packet in packets:
            client.send(packet)
        # Each socket is served in order, and a client keeps to one.
        client.send(dns.message.make_query(name("127.0.0.2"), "A").to_wire())
        client.recv(512)


def ask_all_kinds() -> Counter[str]:
    """Ask so that there is each outcome that a client can cause; how often there was which."""
    for tcp in (False, True):
        for address in ("192.0.2.7", "192.0.2.7", "192.0.2.7", "203.0.113.9"):
            ask(name(address), tcp=tcp)
        ask(name("198.51.100.7", OTHER), tcp=tcp)
    ask(name("192.0.2.7"), "AAAA")
    ask(ZONE, "SOA")
    ask("www.example.com")
    ask(ZONE, use_edns=7)
    ask(name("192.0.2.7"), "TXT")
    ask(name("192.0.2.7"), "TXT", use_edns=0)
    notify = dns.message.make_query(ZONE, "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    dns.query.udp(notify, OURS, PATIENCE)
    broken = dns.message.make_query(ZONE, "A").to_wire()[:-1]
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as client:
        client.settimeout(PATIENCE)
        client.connect((OURS, 53))
        client.send(broken)
        client.recv(512)
    send([b"?", b"??"])
    return Counter(
        listed=10, not_listed=2, nodata=1, answered=1, refused=1, badvers=1, truncated=1, notimp=1, formerr=1, dropped=2
    )


def promtool(*arguments: str | Path, stdin: str = "") -> str:
    done = subprocess.run(
        ["promtool", *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_promtool_accepts_what_contrib_has() -> None:
    assert "is valid prometheus config" in promtool("check", "config", CONTRIB / "prometheus.yml")
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", CONTRIB / "alerts.yaml")
    assert "SUCCESS" in promtool("test", "rules", CONTRIB / "alerts_test.yaml")


def alert_rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((CONTRIB / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_each_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    cases = [
        (case["alertname"], bool(case["exp_alerts"]))
        for test in yaml.safe_load((CONTRIB / "alerts_test.yaml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    assert set(cases) == {(alert, fires) for alert in alert_rules() for fires in (True, False)}


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for alert, rule in alert_rules().items():
        assert rule["labels"]["severity"] in ("critical", "warning"), alert
        assert set(rule["annotations"]) == {"summary", "description"}, alert
        assert "`" in rule["annotations"]["description"], alert


def test_the_metrics_are_clean(scraped: ServerProcess) -> None:
    ask_all_kinds()
    assert promtool("check", "metrics", stdin=scraped.get("/metrics")) == ""


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRIB / "grafana-dashboard.json").read_text())
    return found


def test_the_dashboard_is_in_order() -> None:
    panels = dashboard()["panels"]
    variables = {each["name"] for each in dashboard()["templating"]["list"]}
    assert variables == {"datasource", "zone"}
    assert sorted(panel["id"] for panel in panels) == list(range(1, len(panels) + 1))
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells: Counter[tuple[int, int]] = Counter()
    for panel in panels:
        assert panel["description"], panel["title"]
        at = panel["gridPos"]
        cells.update((at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"]))
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert set(re.findall(r"\$\{?(\w+)", target["expr"])) <= {"zone", "__rate_interval"}
    assert set(cells.values()) == {1}
    # Without gaps, on Grafana's 24 columns.
    assert len(cells) == 24 * (1 + max(y for _, y in cells))
    assert {x for x, _ in cells} == set(range(24))


def shown(prometheus: Prometheus, zone: str) -> dict[str, list[dict[str, float]]]:
    """What each query of each panel gets, by the last of its labels, with $zone as Grafana fills it in.

    The interval of the rates is one that holds all that a test does, however slow the machine is.
    """
    panels: dict[str, list[dict[str, float]]] = {}
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            expr = target["expr"].replace("$zone", zone).replace("$__rate_interval", "5m")
            # The legend names the labels that tell the series apart.
            labels = re.findall(r"{{(\w+)}}", target["legendFormat"])
            found = prometheus.series(expr)
            values = {" ".join(dict(each)[label] for label in labels): value for each, value in found.items()}
            assert len(values) == len(found), (expr, found)
            print(f"{panel['title']}: {expr}\n    {values}")
            panels.setdefault(panel["title"], []).append(values)
    return panels


def test_the_dashboard_shows_what_happened(scraped: ServerProcess, prometheus: Prometheus, zones: Path) -> None:
    asked = ask_all_kinds()
    prometheus.wait("sum(dnsbl_queries_total)", asked.total())
    write(zones / "dynamic.txt", addresses("192.0.2", FEW) + "192.0.2.250\n")
    prometheus.wait(f'dnsbl_zone_reloads_total{{zone="{ZONE}", result="success"}}', 2)
    write(zones / "bl.yaml", TEXT + "  - oops\n")
    prometheus.wait(f'dnsbl_zone_reloads_total{{zone="{ZONE}", result="failure"}}', 1)
    # A second time: what has just appeared has not risen yet.
    asked += ask_all_kinds()
    with closing(socket.create_connection((OURS, 53), PATIENCE)):
        prometheus.wait("sum(dnsbl_queries_total)", asked.total())
        prometheus.wait("dnsbl_tcp_connections", 1)
        used = 'increase(process_cpu_seconds_total{job="dnsbl-server"}[5m]) > 0'
        until(lambda: prometheus.series(used), "the server has used a hundredth of a second")
        everything = shown(prometheus, ".*")
        one = shown(prometheus, ZONE.replace(".", r"\\."))
        both = shown(prometheus, f"({ZONE}|{OTHER})".replace(".", r"\\."))

    assert prometheus.by("outcome", "sum by (outcome) (dnsbl_queries_total)") == {**asked, "servfail": 0}
    assert prometheus.by("list", "sum by (list) (dnsbl_hits_total)") == {"traps": 16, "dynamic": 16, OTHER: 4}
    for panels in (everything, one, both):
        for title, queries in panels.items():
            # Something else than zeros, unless the zero is what there is to see.
            assert all(any(values.values()) for values in queries) or title == "Last reload", (title, queries)
    assert one["Last reload"] == [{ZONE: 0}]
    assert everything["Last reload"] == both["Last reload"] == [{ZONE: 0, OTHER: 1}]
    assert everything["Servers"] == [{"127.0.0.1:9353": 1}]
    assert everything["Entries now"] == [{"": 421}]
    assert one["Entries now"] == [{"": 221}]
    assert one["Listed now"] == [{"": pytest.approx(8 / 10)}]
    assert one["Entries by list"] == [{f"{ZONE} traps": 200, f"{ZONE} dynamic": 21}, {ZONE: 1}]
    assert set(everything["Queries/s by outcome"][0]) == {*asked, "servfail"}
    errors = {"refused", "formerr", "notimp", "badvers", "dropped", "servfail"}
    assert set(everything["Errors and drops"][0]) == errors
    assert all(one["Reloads"][0][f"{ZONE} {result}"] > 0 for result in ("success", "failure"))
    # From which to choose.
    variable = {each["name"]: each["query"] for each in dashboard()["templating"]["list"]}["zone"]["query"]
    assert variable == "label_values(dnsbl_zone_last_reload_success, zone)"
    assert prometheus.label_values("dnsbl_zone_last_reload_success", "zone") == [ZONE, OTHER]


def test_alerts_fire_when_there_is_cause(scraped: ServerProcess, prometheus: Prometheus, zones: Path) -> None:
    def firing(alert: str, zone: str = "", list_name: str = "") -> str:
        """Wait until an alert fires; its summary."""
        key = (alert, zone, list_name)
        until(lambda: key in prometheus.alerts("firing"), f"{key} fires")
        return prometheus.alerts("firing")[key]

    # A calm server raises none, after every rule was evaluated on its data.
    asked = ask_all_kinds()
    prometheus.wait("sum(dnsbl_queries_total)", asked.total())
    begin = time.time()
    until(lambda: all(evaluated(rule) > begin for rule in prometheus.rules()), "every rule was evaluated")
    assert {rule["health"] for rule in prometheus.rules()} == {"ok"}
    assert prometheus.alerts("firing", "pending") == {}

    # A list that is cut short, one that explodes, a zone that is taken away.
    write(zones / "traps.txt", addresses("192.0.2", FEW))
    assert firing("DnsblEntriesDropped", ZONE, "traps").startswith(f"List traps of {ZONE} has lost more than half")
    write(zones / "dynamic.txt", "".join(addresses(f"10.0.{net}", HOSTS) for net in range(6)))
    assert firing("DnsblEntriesGrew", ZONE, "dynamic") == f"List dynamic of {ZONE} has more than doubled"
    (zones / "feed.yaml").rename(zones / "feed.away")
    assert firing("DnsblEntriesDropped", OTHER, OTHER).startswith(f"List {OTHER} of {OTHER} has lost more than half")

    # A feed that stopped three days ago, which is more than the limit of this zone.
    for file in ("feed.txt", "feed.away"):
        os.utime(zones / file, (begin - 3 * 86400, begin - 3 * 86400))
    (zones / "feed.away").rename(zones / "feed.yaml")
    assert firing("DnsblDataOld", OTHER).startswith(f"The newest file of {OTHER} is 3d 0h")

    # What the annotations say to look for is in the log.
    for line in (f"zone {ZONE}: reloaded", f"zone {OTHER}: withdrawn", f"zone {OTHER}: loaded"):
        scraped.wait_for(line)

    # An error in a file, until it is mended.
    write(zones / "bl.yaml", TEXT + "  - oops\n")
    assert firing("DnsblReloadFailed", ZONE) == f"{ZONE} could not be reloaded on 127.0.0.1:9353"
    write(zones / "bl.yaml", TEXT)
    until(lambda: ("DnsblReloadFailed", ZONE, "") not in prometheus.alerts("firing"), "the alert ends")

    # Floods, of more than one a second in ten minutes.
    for _ in range(20):
        send([b"?"] * 100)
    assert firing("DnsblDropsRising").endswith("gets no answer")
    for _ in range(2000):
        ask("www.example.com")
    assert firing("DnsblErrorsRising").endswith("end as refused")

    # A server that is gone is not a list that is gone.
    assert ("DnsblEntriesDropped", ZONE, "traps") in prometheus.alerts("firing")
    scraped.signal(signal.SIGTERM)
    assert scraped.wait() == 0
    assert firing("DnsblServerDown") == "dnsbl-server on 127.0.0.1:9353 cannot be scraped"
    until(
        lambda: all(alert != "DnsblEntriesDropped" for alert, _, _ in prometheus.alerts("firing")),
        "no list is said to be gone",
    )


def evaluated(rule: dict[str, Any]) -> float:
    """When a rule was evaluated last, in seconds since 1970."""
    # Python 3.11 takes no nanoseconds.
    return datetime.fromisoformat(re.sub(r"\.\d+", "", rule["lastEvaluation"])).timestamp()
