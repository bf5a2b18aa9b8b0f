"""What the service manager hears of a server: ready, reloading and ready again, stopping."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dnsbl_server.notify import ServiceManager
from tests.answers import reverse
from tests.commands import ANY, make_place, run_process
from tests.serving import PATIENCE, ServerProcess

pytestmark = pytest.mark.server


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket, and its name as it stands in NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@dnsbl-test-{os.getpid()}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(name.replace("@", "\0"))
        yield sock, name


def hear(sock: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in sock.recv(4096).decode().split("\n"))


def test_a_service_manager_hears_of_everything(manager: tuple[socket.socket, str], zones: Path) -> None:
    sock, name = manager
    with ServerProcess(str(zones), env={"NOTIFY_SOCKET": name}) as server:
        ready = {"READY": "1", "STATUS": "2 zones, 11 entries"}
        assert hear(sock).keys() == ready.keys()
        assert server.ask(reverse("192.0.2.7")).answer
        server.signal(signal.SIGHUP)
        told = hear(sock)
        assert told.pop("RELOADING") == "1"
        assert int(told.pop("MONOTONIC_USEC")) > 0
        again = hear(sock)
        assert again["READY"] == "1"
        assert again["STATUS"].startswith("2 zones, ")
        server.signal(signal.SIGTERM)
        assert hear(sock) == {"STOPPING": "1"}
        assert server.wait() == 0


def test_a_status_tells_of_bad_files(tmp_path: Path) -> None:
    (tmp_path / "bl.yaml").write_text("zone: bl.test\nentries: [192.0.2.7]\n")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(str(tmp_path / "notify"))
        with ServerProcess(str(tmp_path), env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
            assert hear(sock)["STATUS"] == "1 zones, 1 entries"
            (tmp_path / "bl.yaml").write_text("zone: bl.test\nentries: [192.0.2.300]\n")
            server.wait_for("not reloaded")
            server.signal(signal.SIGHUP)
            assert hear(sock)["RELOADING"] == "1"
            assert hear(sock)["STATUS"] == "1 zones, 1 entries; 1 zone files have errors"


@pytest.mark.parametrize("name", ["", "/nowhere/notify"])
def test_a_manager_that_is_not_there_changes_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    manager = ServiceManager()
    assert "NOTIFY_SOCKET" not in os.environ
    manager.ready("well")
    manager.stopping()
    assert len(caplog.records) == (2 if name else 0)


def test_a_user_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = run_process(make_place(tmp_path), "serve", *ANY, "--user", "no-such-user", "good")
    assert done.status == 2
    assert "there is no user no-such-user" in done.stderr
