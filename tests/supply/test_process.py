"""Loader processes: what they deliver is what `load_zones` gives, and whatever becomes of one is one clear error."""

import contextlib
import errno
import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dnsbl_server
from dnsbl_server.model.address import Address
from dnsbl_server.supply import process
from dnsbl_server.supply._mapping import map_memory
from dnsbl_server.supply.exchange import ExchangeError, Job
from dnsbl_server.supply.load import LoadResult, load_zones
from dnsbl_server.supply.memory import MemoryFileError, create_sealed
from dnsbl_server.supply.process import Delivery, LoaderError, LoaderProcess
from dnsbl_server.supply.serial import ZoneVersion
from dnsbl_server.table.layout import TableError
from dnsbl_server.table.table import ZoneTable
from tests.reloading import wait_until, zone_text

pytestmark = pytest.mark.server

LONG = 60.0
# What a loader does that never ends by itself.
HANG = "exec sleep 600"


def run(files: list[str], loader: LoaderProcess | None = None) -> Delivery:
    return (loader or LoaderProcess(LONG)).run(Job(tuple(files), {}, {}))


def children() -> list[str]:
    """The processes, living or zombie, that this one started and has not waited for."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text()
            if int(stat.rpartition(")")[2].split()[1]) == os.getpid():
                found.append(stat)
    return found


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Neither a descriptor nor a process stays behind."""
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    processes = children()
    yield
    gc.collect()
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert len(children()) == len(processes), children()


@pytest.fixture
def zone_file(tmp_path: Path) -> str:
    path = tmp_path / "bl.yaml"
    path.write_text(zone_text("192.0.2.0/24", "198.51.100.7", '"2001:db8::/32"'))
    return str(path)


@pytest.fixture
def loader_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a script in the place of the loader process."""

    def replace(body: str, interpreter: str = "/bin/sh") -> None:
        script = tmp_path / "loader-script"
        script.write_text(f"#!{interpreter}\n{body}\n")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    return replace


def test_the_tables_are_those_of_load(tmp_path: Path, zone_file: str) -> None:
    (tmp_path / "list.txt").write_text("203.0.113.9 # one\n203.0.113.64/26\n")
    other = tmp_path / "dyn.yaml"
    other.write_text("zone: dyn.example.org\nfiles: [list.txt]\n")
    files = [zone_file, str(other)]
    delivery = run(files)
    assert [table.file for table in delivery.tables] == files
    made_at = delivery.tables[0].table.info.as_of
    assert abs(made_at - time.time()) < LONG
    expected = load_zones(files, made_at, lambda path, count: None)
    for table in delivery.tables:
        compiled = ZoneTable(expected.zones[table.file].compiled.table)
        assert table.table.info == compiled.info
        assert table.table.size == compiled.size
    assert delivery.sources == expected.sources
    assert not len(delivery.problems)
    assert [(table.added, table.removed) for table in delivery.tables] == [(3, 0), (2, 0)]


def test_problems_come_with_their_places(tmp_path: Path, zone_file: str) -> None:
    (tmp_path / "list.txt").write_text("203.0.113.9\n203.0.113.300\n")
    bad = tmp_path / "bad.yaml"
    bad.write_text("zone: dyn.example.org\nentries:\n  - 10.0.0.0/33\nfiles: [list.txt, gone.txt]\ncolour: red\n")
    warned = tmp_path / "warned.yaml"
    warned.write_text(zone_text("127.0.0.0/30", "192.0.2.1", zone="w.example.org"))
    files = [str(bad), zone_file, str(warned), str(tmp_path / "none.yaml")]
    expected = load_zones(files, time.time(), lambda path, count: None)
    delivery = run(files)
    assert list(delivery.problems) == list(expected.problems)
    shown = [str(problem) for problem in delivery.problems.errors]
    assert any(line.startswith(f"{bad}:3:5: 10.0.0.0/33: ") for line in shown)
    assert any(line.startswith(f"{bad}:4:19: gone.txt: ") for line in shown)
    assert [problem.place.line for problem in delivery.problems.warnings] == [2, 3]
    assert [table.file for table in delivery.tables] == [zone_file, str(warned)]
    assert delivery.sources == expected.sources
    assert delivery.sources[str(bad)].keys() == {str(bad), str(tmp_path / "list.txt"), str(tmp_path / "gone.txt")}
    assert delivery.sources[str(bad)][str(tmp_path / "gone.txt")] is None
    assert delivery.sources[str(tmp_path / "none.yaml")] == {str(tmp_path / "none.yaml"): None}


def test_a_table_is_read_only_and_needs_no_descriptor(zone_file: str) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    (table,) = run([zone_file]).tables
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    assert table.table.find(Address(4, 0xC0000201), 0.0)
    with create_sealed("table", b"content") as memory:
        content = map_memory(memory.fileno())
    assert bytes(content) == b"content"
    assert content.readonly
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_mapping_ends_with_its_last_reader() -> None:
    with create_sealed("a-name-of-its-own", bytes(1 << 20)) as memory:
        content = map_memory(memory.fileno())
    part = content[5:9]
    del content
    assert bytes(part) == bytes(4)
    assert "a-name-of-its-own" in Path("/proc/self/maps").read_text()
    del part
    gc.collect()
    assert "a-name-of-its-own" not in Path("/proc/self/maps").read_text()


def test_changes_count_from_the_table_before(tmp_path: Path, zone_file: str) -> None:
    (old,) = run([zone_file]).tables
    Path(zone_file).write_text(zone_text("192.0.2.0/24", "203.0.113.1", "203.0.113.2", '"2001:db8::/33"'))
    os.utime(zone_file, (1000, 1000))
    served = {"bl.example.org": zone_file}
    version = ZoneVersion(old.table.info.serial + 1000, old.table.info.digest)
    job = Job((zone_file,), served, {"bl.example.org": version})
    (new,) = LoaderProcess(LONG).run(job, {"bl.example.org": old.table}).tables
    assert (new.added, new.removed) == (3, 2)
    assert new.table.info.serial == version.serial + 1


def test_another_file_for_a_served_zone_is_refused(tmp_path: Path, zone_file: str) -> None:
    second = tmp_path / "a-second.yaml"
    second.write_text(zone_text("203.0.113.1"))
    delivery = LoaderProcess(LONG).run(Job((str(second),), {"bl.example.org": zone_file}, {}))
    assert delivery.tables == ()
    (problem,) = delivery.problems.errors
    assert problem.place.file == str(second)
    assert zone_file in problem.message


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["192.0.2.1"], ["192.0.2.1"], (0, 0)),
        (["192.0.2.1"], ["192.0.2.1", "192.0.2.2"], (1, 0)),
        (["192.0.2.1", "192.0.2.2"], ["192.0.2.2"], (0, 1)),
        (["192.0.2.0/24"], ["192.0.2.0/25"], (1, 1)),
        (["192.0.2.1"], ['"2001:db8::1"'], (1, 1)),
    ],
)
def test_changes_since(
    load_texts: Callable[..., LoadResult], before: list[str], after: list[str], expected: tuple[int, int]
) -> None:
    old, new = (
        ZoneTable(next(iter(load_texts(zone_text(*nets)).zones.values())).compiled.table) for nets in (before, after)
    )
    assert new.changes_since(old) == expected
    assert old.changes_since(new) == expected[::-1]
    assert new.changes_since(None) == (len(after), 0)


def test_good_runs_leave_nothing_behind(zone_file: str) -> None:
    run([zone_file])
    with nothing_left():
        for _ in range(3):
            run([zone_file])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("kill -KILL $$", "the loader was killed by signal 9"),
        ("ulimit -c 0; kill -SEGV $$", "the loader was killed by signal 11"),
        ("exit 0", "the loader ended with status 0"),
        ("echo first >&2; echo 'no such thing' >&2; exit 3", "the loader ended with status 3: no such thing"),
        ("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", "the loader ended with status 1: " + "x" * 500),
    ],
)
def test_a_loader_that_ends_without_a_report(
    zone_file: str, loader_is: Callable[..., None], body: str, said: str
) -> None:
    loader_is(body)
    with nothing_left(), pytest.raises(LoaderError) as caught:
        run([zone_file])
    assert str(caught.value).startswith(said)


def test_a_loader_that_hangs_is_killed(zone_file: str, loader_is: Callable[..., None]) -> None:
    loader_is(HANG)
    with nothing_left(), pytest.raises(LoaderError, match=r"^the loader took longer than 0\.3 seconds and was killed$"):
        run([zone_file], LoaderProcess(0.3))


def test_a_loader_that_cannot_be_killed_is_left_to_itself(
    zone_file: str,
    loader_is: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    loader_is(HANG)
    loader = LoaderProcess(0.3)
    monkeypatch.setattr(process, "_END_PATIENCE", 0.1)
    with monkeypatch.context() as patch:
        # Like one that waits for a file system in the kernel.
        patch.setattr(subprocess.Popen, "kill", lambda process: None)
        with pytest.raises(LoaderError, match="took longer than"):
            run([zone_file], loader)
    (stuck,) = loader._stuck
    assert f"loader process {stuck.pid} cannot be killed" in caplog.text
    stuck.kill()
    assert stuck.wait(LONG) == -signal.SIGKILL
    with pytest.raises(LoaderError, match="took longer than"):
        run([zone_file], loader)
    assert loader._stuck == []


def _in_thread(loader: LoaderProcess, files: list[str]) -> tuple[threading.Thread, list[object]]:
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(run(files, loader))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, outcome


def test_a_loader_that_never_reads_its_request_is_killed(loader_is: Callable[..., None]) -> None:
    loader_is(HANG)
    loader = LoaderProcess(0.3)
    # More than a pipe holds.
    thread, outcome = _in_thread(loader, [f"zones/a-zone-file-with-some-name-{number}.yaml" for number in range(5000)])
    thread.join(10.0)
    is_late = thread.is_alive()
    loader.close()
    thread.join(LONG)
    assert not is_late, "the timeout does not hold while the request is written"
    assert "took longer" in str(outcome[0])


REPORT_AND_HANG = """
import array, json, os, socket, sys, time
import fcntl
job = json.load(sys.stdin)
memory = os.memfd_create("report", os.MFD_ALLOW_SEALING)
files = job["files"]
report = {"problems": [], "left_out": {}, "sources": {file: {} for file in files}}
report["states"] = {file: [] for file in files}
os.write(memory, json.dumps(report).encode())
fcntl.fcntl(memory, fcntl.F_ADD_SEALS, 15)
socket.send_fds(socket.socket(fileno=1), [b'{"kind": "report"}'], [memory])
time.sleep(30)
"""


def test_a_loader_that_does_not_end_after_its_report_is_killed(zone_file: str, loader_is: Callable[..., None]) -> None:
    loader_is(REPORT_AND_HANG, sys.executable + " -ES")
    loader = LoaderProcess(2.0)
    thread, _ = _in_thread(loader, [zone_file])
    thread.join(10.0)
    is_late = thread.is_alive()
    loader.close()
    thread.join(LONG)
    assert not is_late, "the timeout does not hold after the report"


def test_a_loader_that_is_killed_in_its_work(zone_file: str, loader_is: Callable[..., None]) -> None:
    loader_is(HANG)
    loader = LoaderProcess(LONG)
    with nothing_left():
        thread, outcome = _in_thread(loader, [zone_file])
        wait_until(lambda: loader._process is not None, "the loader process")
        started = loader._process
        assert started is not None
        os.kill(started.pid, signal.SIGKILL)
        thread.join(LONG)
        assert isinstance(outcome[0], LoaderError)
        assert str(outcome.pop()).startswith("the loader was killed by signal 9")
        del started


def test_close_ends_a_run(zone_file: str, loader_is: Callable[..., None]) -> None:
    loader_is(HANG)
    loader = LoaderProcess(LONG)
    with nothing_left():
        thread, outcome = _in_thread(loader, [zone_file])
        wait_until(lambda: loader._process is not None, "the loader process")
        loader.close()
        thread.join(LONG)
        assert isinstance(outcome.pop(), LoaderError)


def test_no_run_after_close(zone_file: str, loader_is: Callable[..., None]) -> None:
    loader_is(HANG)
    loader = LoaderProcess(LONG)
    loader.close()
    with nothing_left(), pytest.raises(LoaderError):
        run([zone_file], loader)
    loader.close()


@pytest.mark.parametrize("mode", [None, 0o644])
def test_a_loader_that_cannot_be_started(
    tmp_path: Path, zone_file: str, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    program = tmp_path / "program"
    if mode is not None:
        program.write_text("")
        program.chmod(mode)
    monkeypatch.setattr(sys, "executable", str(program))
    with nothing_left(), pytest.raises(LoaderError, match=r"^cannot start the loader: .*program"):
        run([zone_file])


@pytest.mark.parametrize(("module", "name"), [(os, "memfd_create"), (socket, "socketpair"), (subprocess, "Popen")])
def test_no_descriptor_left_is_a_loader_error(
    zone_file: str, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, name, refuse)
    with nothing_left(), pytest.raises(LoaderError, match=r"(?i)too many open files"):
        run([zone_file])


HOSTILE = """
import fcntl, json, os, resource, socket, sys, time
sys.path.insert(0, {package!r})
job = json.load(sys.stdin)
server = socket.socket(fileno=1)

def memory(content, seals=15):
    descriptor = os.memfd_create("hostile", os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor

def send(notice, *descriptors):
    socket.send_fds(server, [notice if isinstance(notice, bytes) else json.dumps(notice).encode()], descriptors)

def notice(file=job["files"][0]):
    return {{"kind": "table", "file": file}}

def table(number=0):
    from dnsbl_server.supply.load import load_zones
    (zone,) = load_zones([job["files"][number]], time.time(), lambda path, count: None).zones.values()
    return zone.compiled.table

files = job["files"]
report = {{"problems": [], "left_out": {{}}, "sources": {{file: {{}} for file in files}}}}
report["states"] = {{file: [] for file in files}}
{send}
time.sleep(600)
"""

NO_TABLE = "the loader sent something that is no table or report: "


@pytest.fixture
def hostile(loader_is: Callable[..., None]) -> Callable[[str], None]:
    """Put a process in the place of the loader that does so, and then does not end."""

    def replace(send: str) -> None:
        package = str(Path(dnsbl_server.__file__).parents[1])
        loader_is(HOSTILE.format(package=package, send=send), sys.executable)

    return replace


@pytest.mark.parametrize(
    ("send", "said"),
    [
        ('server.send(b"garbage")', "notice: not JSON"),
        ("server.send(json.dumps(notice()).encode())", "notice: without its memory"),
        (
            'send({"kind": "progress", "file": job["files"][0], "source": "a", "version": None}, memory(b"x"))',
            "with memory",
        ),
        (
            'server.send(b\'{"kind": "progress", "file": "other.yaml", "source": "a", "version": null}\')',
            "'other.yaml' is not to be loaded",
        ),
        ('send(b"", memory(b"x"))', "notice: not JSON: "),
        ('send(b"garbage", memory(b"x"))', "notice: not JSON: "),
        ('send({}, memory(b"x"))', "notice.kind: missing"),
        ('send({"kind": "report"}, memory(b"garbage"))', "report: not JSON: "),
        ('send({"kind": "report"}, memory(b"{}"))', "report.problems: missing"),
        ('send({"kind": "report"}, memory(b"[" * 100000))', "report: not JSON: "),
        (
            'send({"kind": "report"}, memory(json.dumps({**report, "sources": {}}).encode()))',
            "report.sources: not those",
        ),
        ('send({"kind": "report"}, memory(json.dumps(report).encode(), 7))', "not sealed"),
        ("send(notice(), memory(table(), 7))", "not sealed"),
        ('send(notice(), memory(b"garbage" * 1000))', "not a table of this version"),
        ('send(notice(), memory(b""))', "empty"),
        ("send(notice(), memory(table()[:-1]))", "damaged"),
        ('send(notice("other.yaml"), memory(table()))', "notice.file: 'other.yaml' is not to be loaded"),
        ("send(notice(), memory(table())); send(notice(), memory(table(1)))", "repeats a file or a zone"),
        ('send(notice(), memory(table())); send(notice(job["files"][1]), memory(table()))', "repeats a file or a zone"),
        ('send(notice(), os.open("/", os.O_RDONLY))', "not a file in memory"),
        ('send(notice(), os.open("/dev/zero", os.O_RDONLY))', "not a file in memory"),
        ('send({"kind": "report"}, os.open("/dev/zero", os.O_RDONLY))', "not a file in memory"),
        ('send({"kind": "report"}, os.pipe()[0])', "not a file in memory"),
        ('send({"kind": "report"}, server.fileno())', "not a file in memory"),
        ('send(notice(), memory(b"x"), memory(b"y"))', "with more memory than one"),
        ('send(json.dumps(notice("x" * 70000)).encode(), memory(b"x"))', "notice: longer than 65536 bytes"),
    ],
)
def test_a_hostile_loader_is_an_error_and_leaves_nothing(
    tmp_path: Path, zone_file: str, hostile: Callable[[str], None], send: str, said: str
) -> None:
    second = tmp_path / "second.yaml"
    second.write_text(zone_text("203.0.113.1", zone="second.example.org"))
    hostile(send)
    with nothing_left():
        with pytest.raises(LoaderError) as caught:
            run([zone_file, str(second)])
        message = str(caught.value)
        del caught
    # And not "was killed by signal": it is the server that kills such a loader.
    assert message.startswith(NO_TABLE), message
    assert said in message


def test_a_hostile_loader_cannot_take_the_zone_of_another_file(zone_file: str, hostile: Callable[[str], None]) -> None:
    hostile("send(notice(), memory(table()))")
    with nothing_left():
        with pytest.raises(LoaderError, match="has the zone of another file") as caught:
            LoaderProcess(LONG).run(Job((zone_file,), {"bl.example.org": "other.yaml"}, {}))
        del caught


def test_a_report_too_large_is_refused(
    zone_file: str, hostile: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_MAX_REPORT", 1000)
    hostile('send({"kind": "report"}, memory(b" " * 1001))')
    with nothing_left():
        with pytest.raises(LoaderError, match="1001 bytes, more than 1000") as caught:
            run([zone_file])
        del caught


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """This process can open no file any more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_table_that_no_descriptor_is_left_for_is_an_error() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, nothing_left(), create_sealed("table", b"x") as memory:
        socket.send_fds(theirs, [b"{}"], [memory.fileno()])
        with no_descriptor_left(), pytest.raises(OSError, match=r"(?i)too many open files"):
            process._receive_message(ours)


@settings(deadline=None)
@given(message=st.binary(max_size=100), content=st.binary(max_size=300), is_report=st.booleans())
def test_any_message_is_refused_and_leaves_nothing(message: bytes, content: bytes, is_report: bool) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        before = len(os.listdir("/proc/self/fd"))
        with theirs, create_sealed("any", content) as memory:
            socket.send_fds(theirs, [b'{"kind": "report"}' if is_report else message], [memory.fileno()])
        assert isinstance(_received(ours), ExchangeError | MemoryFileError | TableError)
        assert len(os.listdir("/proc/self/fd")) == before - 1


def _received(ours: socket.socket) -> Exception | None:
    """The error that comes of what was sent."""
    try:
        process._receive(Job(("a.yaml",), {}, {}), {}, ours, process._Course(LONG, ["a.yaml"]))
    except Exception as error:
        # What the traceback refers to is not kept.
        return error.with_traceback(None)
    return None


OUT_OF_MEMORY = """
import sys, time
import dnsbl_server.supply.load

def load_zones(*_):
    raise MemoryError("no memory left")

def late(*error):
    time.sleep(0.5)  # a busy machine
    sys.__excepthook__(*error)

dnsbl_server.supply.load.load_zones = load_zones
sys.excepthook = late
"""


def test_an_exception_in_the_loader_is_told(tmp_path: Path, zone_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "python"
    place.mkdir()
    (place / "sitecustomize.py").write_text(OUT_OF_MEMORY)
    monkeypatch.setenv("PYTHONPATH", str(place))
    with nothing_left():
        with pytest.raises(LoaderError) as caught:
            run([zone_file])
        said = str(caught.value)
        del caught
    assert said == "the loader ended with status 1: MemoryError: no memory left"
