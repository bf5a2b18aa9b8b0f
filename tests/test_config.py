"""Settings: defaults, a configuration file and flags over both; what is said of a wrong one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.config import Settings, parse_metrics, read_settings
from dnsbl_server.endpoint import Endpoint, parse_endpoint
from dnsbl_server.model.problem import Problems

Read = Callable[..., tuple[Settings | None, list[str]]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Settings and problems from the text of `c.yaml` and flags."""
    monkeypatch.chdir(tmp_path)

    def make(data: str | bytes, **flags: Any) -> tuple[Settings | None, list[str]]:
        Path("c.yaml").write_bytes(data.encode() if isinstance(data, str) else data)
        problems = Problems()
        settings = read_settings("c.yaml", flags, problems)
        return settings, [str(problem) for problem in problems]

    return make


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("192.0.2.1:53", Endpoint("192.0.2.1", 53)),
        ("0.0.0.0:0", Endpoint("0.0.0.0", 0)),
        ("*:65535", Endpoint("0.0.0.0", 65535)),
        ("[::]:53", Endpoint("::", 53)),
        ("[2001:db8::1]:5300", Endpoint("2001:db8::1", 5300)),
    ],
)
def test_what_an_endpoint_means(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":53",
        "53",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:-1",
        "192.0.2.1:5 3",
        "192.0.2.1:٥٣",
        "192.0.2.1:" + "0" * 5000,
        "::1:53",
        "[::1]",
        "[192.0.2.1]:53",
        "[::1:53",
        "::1]:53",
        "[*]:53",
        "localhost:53",
        "192.0.2.256:53",
        "off",
    ],
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError):
        parse_endpoint(text)


def test_metrics_may_be_off() -> None:
    assert parse_metrics("off") is None
    assert parse_metrics("[::1]:9353") == Endpoint("::1", 9353)


def test_defaults_need_no_file() -> None:
    problems = Problems()
    settings = read_settings(None, {}, problems)
    assert len(problems) == 0
    assert settings is not None
    assert settings.zones == ("zones",)
    assert [str(endpoint) for endpoint in settings.listen] == ["127.0.0.1:5300", "[::1]:5300"]
    assert str(settings.metrics) == "127.0.0.1:9353"
    assert (settings.log_format, settings.log_level) == ("text", "info")
    assert (settings.version_text, settings.server_id) == (None, None)
    assert (settings.tcp_connections, settings.tcp_idle_timeout) == (500, 10)


@pytest.mark.parametrize("text", ["", "\n", "# nothing set\n", "---\n", "# listen: 0.0.0.0:53\n# metrics: off\n"])
def test_a_file_that_sets_nothing_leaves_the_defaults(text: str, read: Read) -> None:
    assert read(text) == (Settings(), [])


def test_every_setting_from_a_file(read: Read) -> None:
    settings, problems = read(
        "zones: [/etc/zones, more.yaml]\nlisten: ['192.0.2.1:53', '[::]:53']\nmetrics: off\nlog_format: json\n"
        "log_level: debug\nversion_text: secret\nserver_id: ns1\ntcp_connections: 10\ntcp_idle_timeout: 1m\n"
        "files_below: [lists, feeds]\nreceive_buffer: 65536\nload_timeout: 1h30m\npoll_interval: 30\n"
    )
    assert problems == []
    assert settings == Settings(
        zones=("/etc/zones", "more.yaml"),
        listen=(Endpoint("192.0.2.1", 53), Endpoint("::", 53)),
        metrics=None,
        log_format="json",
        log_level="debug",
        version_text="secret",
        server_id="ns1",
        tcp_connections=10,
        tcp_idle_timeout=60,
        files_below=("lists", "feeds"),
        receive_buffer=65536,
        load_timeout=5400,
        poll_interval=30,
    )


def test_one_value_stands_for_a_list_of_one(read: Read) -> None:
    settings, problems = read("zones: /etc/zones\nlisten: 192.0.2.1:53\n")
    assert problems == []
    assert settings is not None
    assert settings.zones == ("/etc/zones",)
    assert settings.listen == (Endpoint("192.0.2.1", 53),)


def test_flags_win_over_the_file_and_it_over_the_defaults(read: Read) -> None:
    settings, problems = read(
        "listen: 192.0.2.1:53\nlog_format: json\n", listen=(Endpoint("::1", 5353),), metrics=None, zones=("a.yaml",)
    )
    assert problems == []
    assert settings == Settings(listen=(Endpoint("::1", 5353),), metrics=None, zones=("a.yaml",), log_format="json")


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("lisen: 0.0.0.0:53\n", ["1:1: lisen: unknown key"]),
        ("listen: localhost:53\n", ["1:9: localhost:53: not ADDRESS:PORT"]),
        ("listen: [127.0.0.1:53, '::1:53']\n", ["1:24: ::1:53: an IPv6 address stands in brackets"]),
        ("listen: []\n", ["1:9: "]),
        (f"listen: [{', '.join(['127.0.0.1:0'] * 257)}]\n", ["1:9: at most 256 addresses, not 257; "]),
        ("listen:\n", ["1:8: "]),
        ("listen: {a: b}\n", ["1:9: "]),
        ("listen: [[nowhere, 99999]]\n", ["1:10: "]),
        ("metrics: {address: nowhere, port: 99999}\n", ["1:10: "]),
        ("metrics: on\n", ["1:10: on: not ADDRESS:PORT"]),
        ("zones: []\n", ["1:8: "]),
        ("zones:\n", ["1:7: "]),
        ('zones: ["a\\0b"]\n', ["1:9: a\\x00b: "]),
        ("log_format: xml\n", ["1:13: xml: "]),
        ("log_level: verbose\n", ["1:12: verbose: "]),
        ("tcp_connections: 0\n", ["1:18: 0: "]),
        ("tcp_connections: many\n", ["1:18: many: "]),
        ("tcp_connections: 50001\n", ["1:18: 50001: "]),
        ("tcp_idle_timeout: 10 seconds\n", ["1:19: 10 seconds: not a duration"]),
        ("tcp_idle_timeout: 2h\n", ["1:19: 2h: "]),
        ("receive_buffer: 4M\n", ["1:17: 4M: "]),
        ("load_timeout: 0\n", ["1:15: 0: "]),
        ("poll_interval: [1]\n", ["1:16: "]),
        ("server_id: é\n", ["1:12: é: only printable ASCII"]),
        ("version_text: " + "x" * 256 + "\n", ["1:15: xxx"]),
        ("- listen\n", ["1:1: a configuration file is a mapping"]),
        ("listen\n", ["1:1: a configuration file is a mapping"]),
        ("log_level: info\nlog_level: debug\n", ["2:1: log_level: duplicate key, first at c.yaml:1:1"]),
        ("log_level: &x info\n", ["1:12: &x: anchors are not supported"]),
        ("a: [\n", ["2:1: not valid YAML"]),
        (b"log_level: \xff\n", ["1:12: byte 0xff"]),
        # All of them in one run.
        ("a: 1\nlog_level: x\nlisten: [b, c]\n", ["1:1: a: ", "2:12: x: ", "3:10: b: ", "3:13: c: "]),
        ("log_level: x\nlog_format: json\nlog_format: text\n", ["1:12: x: ", "3:1: log_format: duplicate key"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str | bytes, problems: list[str], read: Read) -> None:
    settings, said = read(text)
    assert settings is None
    assert len(said) == len(problems), said
    for each, expected in zip(sorted(said), sorted(problems), strict=True):
        assert each.startswith(f"c.yaml:{expected}")


def test_no_part_of_a_large_file_is_passed_over(read: Read) -> None:
    settings, problems = read("log_level: debug\n#" + "x" * (1 << 20) + "\nlisten: 192.0.2.1:53\n")
    assert problems or (settings is not None and settings.listen == (Endpoint("192.0.2.1", 53),))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, message in [
        (tmp_path / "none", "no such file or directory"),
        (tmp_path, "is a directory"),
        (fifo, "is not a regular file"),
    ]:
        problems = Problems()
        assert read_settings(str(path), {}, problems) is None
        assert [str(problem) for problem in problems] == [f"{path}: {message}"]


@given(
    data=st.binary(max_size=80) | st.text("zonesli tnmerc:[]{}\n\"'0123456789.-offjson", max_size=60).map(str.encode)
)
def test_any_bytes_are_settings_or_a_problem(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz-config.yaml"
    path.write_bytes(data)
    problems = Problems()
    read = read_settings(str(path), {}, problems)
    assert (read is None) == bool(problems.errors)
