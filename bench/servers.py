"""The servers under test: started, watched and stopped; and the machine they run on.

Owns their processes: each is stopped by its own process id, however the benchmark ends, and so are its children. Times
and sizes come from /proc.
"""

import contextlib
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_START_PATIENCE = 900.0  # seconds until a server has to answer
_STOP_PATIENCE = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")
_POLL = 0.001  # seconds from an answer to the next question whether something is served
_ANSWER = 0.05  # seconds until a question is asked again; more of them would make a queue
_MEMFD = re.compile(r"^(\w+)-(\w+) \S+ (\w+) \S+ (\d+) +/memfd:", re.MULTILINE)


def say(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


def machine() -> str:
    """Say what the figures were taken on."""
    found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    model = found[1] if found else platform.machine()
    return f"{os.cpu_count()} cores ({model}), Linux {platform.release()}, Python {platform.python_version()}."


def cores() -> tuple[int, int]:
    """Return the core for the server and the core for the load."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")
    return allowed[0], allowed[-1]


@contextlib.contextmanager
def running_on(allowed: set[int]) -> Iterator[None]:
    """Have this thread, and the processes it starts, run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def workshop() -> Iterator[Path]:
    """A directory that every user can read, for as long as the benchmark runs. SIGTERM ends that too, and Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    with tempfile.TemporaryDirectory(prefix="dnsbl-bench-") as name:
        Path(name).chmod(0o755)  # rbldnsd gives up root before it reads its files
        yield Path(name)


class Server:
    """A running server; use it as a context. It may run on the cores given.

    name: for tables; log: what it says.
    """

    def __init__(self, name: str, command: list[str], port: int, log: Path, allowed: set[int]) -> None:
        self.name = name
        self.port = port
        self.log = log
        # Its own, which earlier versions that it is compared with do not know.
        env = {**os.environ, "STATE_DIRECTORY": f"{log}.state"}
        with log.open("wb") as file, running_on(allowed):
            self.started = time.monotonic()
            self._process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=env)
        self.pid = self._process.pid

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        children = self.descendants()
        self._process.terminate()
        try:
            self._process.wait(_STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not end when it was told to")
            self._process.kill()
            self._process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> None:
        """Wait until it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2 * _STOP_PATIENCE)

    def wait_until_listed(self, packet: bytes) -> float:
        """Ask again and again until the answer has a record; the moment it came."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self.port))
            sock.settimeout(_ANSWER)
            deadline = time.monotonic() + _START_PATIENCE
            while time.monotonic() < deadline and self._process.poll() is None:
                try:
                    sock.send(packet)
                    answer = sock.recv(4096)
                except OSError:  # nobody there yet, or busy
                    answer = b""
                if len(answer) > 12 and answer[3] & 15 == 0 and answer[6:8] != b"\0\0":
                    return time.monotonic()
                time.sleep(_POLL)
        sys.exit(f"{self.name} does not answer as it should; it says:\n{self.log.read_text()[-2000:]}")

    def cpu(self) -> tuple[float, float]:
        """Seconds of user and system time so far, without its children."""
        fields = _stat(self.pid)
        return int(fields[11]) / _TICKS, int(fields[12]) / _TICKS

    def cpu_of_all(self) -> float:
        """Seconds of processor time so far, with that of the children that have ended."""
        return sum(map(int, _stat(self.pid)[11:15])) / _TICKS

    def memory(self) -> int:
        """Return the bytes that it holds: what is resident, and all of its memory files, touched or not."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        held = sum(_kilobytes(status, key) for key in ("RssAnon", "RssFile"))
        files: dict[str, int] = {}
        for first, last, offset, inode in _MEMFD.findall(Path(f"/proc/{self.pid}/maps").read_text()):
            files[inode] = max(files.get(inode, 0), int(offset, 16) + int(last, 16) - int(first, 16))
        return held + sum(files.values())

    def peak(self) -> int:
        """Return the most bytes that it ever had resident."""
        return _kilobytes(Path(f"/proc/{self.pid}/status").read_text(), "VmHWM")

    def descendants(self) -> list[int]:
        """Return the process ids of its children, their children, and so on."""
        found = [self.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (task / "children").read_text().split())
        return found[1:]

    def peak_of_descendants(self) -> int:
        """Return the most bytes that the children alive had resident, summed up; 0 without children."""
        total = 0
        for pid in self.descendants():
            with contextlib.suppress(OSError):
                total += _kilobytes(Path(f"/proc/{pid}/status").read_text(), "VmHWM")
        return total


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _kilobytes(status: str, key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) << 10 if found else 0  # a process that has just ended has none


def start_dnsbl(
    directory: Path, allowed: set[int], threads: int = 1, python: str = sys.executable, metrics: str = "off"
) -> Server:
    """Start this project's server on the zone files in a directory. python: of the environment it is installed in."""
    port = _free_port()
    command = [python, "-P", "-m", "dnsbl_server", "serve", "--metrics", metrics, "--listen", f"127.0.0.1:{port}"]
    command += ["--threads", str(threads)]
    return Server("dnsbl-server", [*command, str(directory)], port, directory.parent / f"dnsbl{port}.log", allowed)


def start_rbldnsd(directory: Path, allowed: set[int], sets: list[str], *flags: str) -> Server:
    """Start rbldnsd with data sets whose files are in a directory."""
    port = _free_port()
    command = [_find_rbldnsd(), "-n", "-q", "-w", str(directory), "-b", f"127.0.0.1/{port}", *flags, *sets]
    return Server("rbldnsd", command, port, directory.parent / f"rbldnsd{port}.log", allowed)


def start_echo(program: Path, allowed: set[int]) -> Server:
    """Start the bare echo."""
    port = _free_port()
    return Server("echo", [str(program), str(port)], port, program.parent / f"echo{port}.log", allowed)


def _find_rbldnsd() -> str:
    """Return where rbldnsd is; Debian's is installed if there is none and this is root."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if found := shutil.which("rbldnsd", path=search):
        return found
    if os.geteuid() == 0 and (apt := shutil.which("apt-get")):
        say("installing rbldnsd")
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", "rbldnsd"]):
            subprocess.run([apt, "-qq", *arguments], check=False, stdout=sys.stderr)
        if found := shutil.which("rbldnsd", path=search):
            return found
    sys.exit("rbldnsd is needed to compare with: apt-get install rbldnsd")


def _free_port() -> int:
    """Return a port that is free for both UDP and TCP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            contextlib.suppress(OSError),
        ):
            udp.bind(("127.0.0.1", 0))
            tcp.bind(udp.getsockname())
            return int(udp.getsockname()[1])
