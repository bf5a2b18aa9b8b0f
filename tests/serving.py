"""A real server process for tests: started on free ports, its log at hand, stopped by its own process id."""

import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import TracebackType

import dns.message
import dns.query
import pytest
from prometheus_client.parser import text_string_to_metric_families

# Long enough for the slowest machine; no test passes by waiting this long.
PATIENCE = 60.0


# For the sanitized build: AddressSanitizer reserves more memory than any loader may have.
NO_LIMITS = Path(__file__).with_name("no-limits.yaml")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback address")


def _obey_modes() -> None:
    """Give up root's right to read everything; nothing changes for any other user."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def state_of(task: Path) -> str:
    """What the kernel says of a task (a directory of /proc): S sleeps, R runs, T is stopped."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


class ServerProcess:
    """`dnsbl-server serve` on free loopback ports, unless `listen` says otherwise. Use it as a context.

    env: variables on top of those of the tests; descriptors: how many it may have open.
    """

    def __init__(
        self,
        *arguments: str,
        listen: tuple[str, ...] = ("127.0.0.1:0",),
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        is_bound_by_modes: bool = False,
        descriptors: int | None = None,
    ) -> None:
        def prepare() -> None:
            if is_bound_by_modes:
                _obey_modes()
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        command = [sys.executable, "-m", "dnsbl_server", "serve", "--metrics", "127.0.0.1:0"]
        for endpoint in listen:
            command += ["--listen", endpoint]
        if "--state" not in arguments:
            command += ["--state", "off"]
        if os.environ.get("DNSBL_BUILD") == "sanitized" and "--config" not in arguments:
            command += ["--config", str(NO_LIMITS)]
        self._process = subprocess.Popen(
            [*command, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            preexec_fn=prepare,
        )
        self.pid = self._process.pid
        self.log: list[str] = []
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.endpoints: list[tuple[str, int]] = []
        self.metrics_url = ""

    def __enter__(self) -> "ServerProcess":
        try:
            self.wait_for("ready: ")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        for line in self.log:
            if found := re.search(r"listening on \[?([0-9a-f.:]+?)\]?:(\d+) ", line):
                self.endpoints.append((found[1], int(found[2])))
            if found := re.search(r"metrics on (http://\S+)/metrics", line):
                self.metrics_url = found[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()

    @property
    def host(self) -> str:
        return self.endpoints[0][0]

    @property
    def port(self) -> int:
        return self.endpoints[0][1]

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._grown:
                self.log.append(line.rstrip("\n"))
                self._grown.notify_all()
        with self._grown:
            self._grown.notify_all()

    def wait_for(self, text: str, count: int = 1, patience: float = PATIENCE) -> str:
        """Wait until `count` lines of the log hold a text, and return the last of them."""
        end = time.monotonic() + patience
        with self._grown:
            while True:
                lines = [line for line in self.log if text in line]
                if len(lines) >= count:
                    return lines[count - 1]
                assert self._process.poll() is None, "the server ended:\n" + "\n".join(self.log)
                left = end - time.monotonic()
                assert left > 0, f"no {text!r} in the log:\n" + "\n".join(self.log)
                self._grown.wait(min(left, 1.0))

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            # Its threads are on other processors, and stop when these notice.
            end = time.monotonic() + PATIENCE
            while any(state_of(task) != "T" for task in Path(f"/proc/{self.pid}/task").iterdir()):
                assert time.monotonic() < end, "the server does not stop"
                time.sleep(0.001)

    def wait(self) -> int:
        """Wait for the end; the exit status."""
        status = self._process.wait(PATIENCE)
        self._reader.join()
        return status

    def ask(self, name: str, qtype: str = "A", tcp: bool = False, **options: object) -> dns.message.Message:
        """Ask one question with an independent client."""
        query = dns.message.make_query(name, qtype, **options)  # type: ignore[arg-type]
        send = dns.query.tcp if tcp else dns.query.udp
        return send(query, self.host, PATIENCE, self.port)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.metrics_url + path, timeout=PATIENCE) as response:
            return str(response.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """The value of one metric; 0 where there is no such series."""
        for family in text_string_to_metric_families(self.get("/metrics")):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return 0.0

    def wait_for_metric(self, name: str, value: float, **labels: str) -> None:
        """Wait until a metric has a value."""
        end = time.monotonic() + PATIENCE
        while self.metric(name, **labels) != value:
            assert time.monotonic() < end, f"{name} is {self.metric(name, **labels)}, not {value}"
            time.sleep(0.01)


class StalledLoader:
    """A hold on the loader processes that are started with this environment.

    They wait, before they do anything, until `release` is called or their server is gone.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._released = directory / "released"
        (directory / "sitecustomize.py").write_text(
            "import os, pathlib, sys, time\n"
            "if 'dnsbl_server.supply.loader' in sys.orig_argv:\n"
            f"    pathlib.Path({str(directory)!r}, f'{{os.getpid()}}.waiting').touch()\n"
            "    parent = os.getppid()\n"
            f"    while os.getppid() == parent and not os.path.exists({str(self._released)!r}):\n"
            "        time.sleep(0.01)\n"
        )
        self.env = {"PYTHONPATH": os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH"))))}

    def pids(self) -> list[int]:
        """The process ids of the loaders that wait, or have waited."""
        return [int(path.stem) for path in self._directory.glob("*.waiting")]

    def wait(self) -> None:
        """Wait until a loader waits."""
        end = time.monotonic() + PATIENCE
        while not self.pids():
            assert time.monotonic() < end, "no loader was started"
            time.sleep(0.01)

    def release(self) -> None:
        self._released.touch()
