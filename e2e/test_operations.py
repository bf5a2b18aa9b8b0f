"""What keeps it running: the systemd unit, going on as another user, and the example for Kubernetes.

systemd and Kubernetes themselves do not run here: the unit is verified and rated by systemd's own tools, and run by a
stand-in for its manager (tests/test_notify.py); of the example for Kubernetes the command, ports and probes are used on
a server as they stand there.
"""

import os
import pwd
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import dnsbl_server
from e2e.conftest import TEXT, ZONE
from tests.serving import PATIENCE, ServerProcess

REPOSITORY = Path(dnsbl_server.__file__).parents[1]
CONTRIB = REPOSITORY / "contrib"
UNIT = CONTRIB / "dnsbl-server.service"
# systemd's rating: 0 is locked up, 10 is open; below 2 it says "OK".
MOST_EXPOSED = 1.7


@contextmanager
def mounted(*arguments: str) -> Iterator[None]:
    """A mount, in the namespace of the tests."""
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)


@pytest.fixture
def installed() -> Iterator[None]:
    """The program where the unit expects it."""
    with mounted("-t", "tmpfs", "tmpfs", "/opt"):
        program = Path("/opt/dnsbl-server/bin/dnsbl-server")
        program.parent.mkdir(parents=True)
        program.symlink_to(sys.executable)
        (program.parents[1] / "README.md").touch()
        yield


@pytest.mark.usefixtures("installed")
def test_systemd_finds_nothing_wrong_with_the_unit() -> None:
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", UNIT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_rates_the_unit_as_locked_up() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    done = subprocess.run([*command, UNIT], capture_output=True, text=True, check=True)
    rating = done.stdout.splitlines()[-1].split("service: ")[1].split()[0]
    assert float(rating) <= MOST_EXPOSED


@pytest.fixture
def readable(tmp_path: Path) -> Iterator[Path]:
    """A directory that all users can read, as they can the interpreter and the package, wherever these are."""
    places = {Path(sys.base_prefix), Path(sys.prefix), REPOSITORY}
    closed = {parent for place in places for parent in (place, *place.parents) if not parent.stat().st_mode & 1}
    with ExitStack() as stack:
        for directory in sorted(closed):
            if any(other in directory.parents for other in closed):
                continue
            # What lies below it is kept at hand, and bound into an open one in its stead.
            inside = {place: tmp_path / str(number) for number, place in enumerate(sorted(places))}
            wanted = {place: aside for place, aside in inside.items() if directory in (place, *place.parents)}
            for place, aside in wanted.items():
                aside.mkdir()
                stack.enter_context(mounted("--bind", str(place), str(aside)))
            stack.enter_context(mounted("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(directory)))
            for place, aside in wanted.items():
                place.mkdir(parents=True, exist_ok=True)
                stack.enter_context(mounted("--bind", str(aside), str(place)))
        zones = Path("/run/dnsbl-test-zones")
        zones.mkdir(mode=0o755)
        stack.callback(shutil.rmtree, zones)
        yield zones


def test_root_goes_on_as_another_user(readable: Path) -> None:
    zone_file = readable / "bl.yaml"
    zone_file.write_text(TEXT)
    zone_file.chmod(0o644)
    with ServerProcess(str(readable), "--user", "nobody", "--threads", "2", listen=("127.0.0.1:53",)) as server:
        nobody = pwd.getpwnam("nobody")
        status = Path(f"/proc/{server.pid}/status").read_text()
        said = {line.split(":")[0]: line.split(":")[1].split() for line in status.splitlines()}
        assert said["Uid"] == [str(nobody.pw_uid)] * 4
        assert said["Gid"] == [str(nobody.pw_gid)] * 4
        assert "0" not in said["Groups"]
        assert {int(said[name][0], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
        assert server.ask(f"7.2.0.192.{ZONE}").answer
        assert not server.ask(f"9.2.0.192.{ZONE}").answer
        # It goes on loading what this user may read, and only that.
        zone_file.write_text(TEXT.replace("- 192.0.2.7", "- 192.0.2.9"))
        server.wait_for("reloaded, ")
        assert server.ask(f"9.2.0.192.{ZONE}").answer
        zone_file.chmod(0o600)
        server.wait_for("ermission denied")
        assert server.ask(f"9.2.0.192.{ZONE}").answer
        assert server.metric("process_resident_memory_bytes") > 0


def test_a_user_who_cannot_run_the_program_is_refused(tmp_path: Path) -> None:
    """Before the first answer, and with a reason; a load that failed later would be the worse surprise."""
    (tmp_path / "bl.yaml").write_text(TEXT)
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    python = hidden / "python"
    python.symlink_to(sys.executable)
    flags = ["--state", "off", "--metrics", "off", "--listen", "127.0.0.1:0"]
    command = [str(python), "-m", "dnsbl_server", "serve", *flags]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*command, "--user", "nobody", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env=env,
    )
    assert done.returncode == 2
    assert "user nobody cannot run" in done.stderr.splitlines()[-1]


@pytest.fixture
def manifests() -> dict[str, Any]:
    documents = yaml.safe_load_all((CONTRIB / "kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_the_command_ports_and_probes_for_kubernetes_work(manifests: dict[str, Any], tmp_path: Path) -> None:
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    # As the kubelet lays a ConfigMap out: the file is a link through ..data to a directory that is replaced.
    (tmp_path / "..1").mkdir()
    (tmp_path / "..1" / "bl.yaml").write_text(TEXT)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "bl.yaml").symlink_to("..data/bl.yaml")
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    arguments = [str(tmp_path) if each == mounts["zones"] else each for each in container["args"]]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    env = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
    process = subprocess.Popen([sys.executable, "-m", "dnsbl_server", *arguments], cwd=REPOSITORY, env=env)
    try:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[name]["httpGet"]
            _probe(f"http://127.0.0.1:{ports[probe['port']]}{probe['path']}")
        assert _is_listed("192.0.2.7", ports["dns-udp"], tcp=False)
        assert _is_listed("192.0.2.7", ports["dns-tcp"], tcp=True)
        (tmp_path / "..2").mkdir()
        (tmp_path / "..2" / "bl.yaml").write_text(TEXT.replace("- 192.0.2.7", "- 192.0.2.9"))
        (tmp_path / "..new").symlink_to("..2")
        os.replace(tmp_path / "..new", tmp_path / "..data")
        end = time.monotonic() + PATIENCE
        while not _is_listed("192.0.2.9", ports["dns-udp"], tcp=False):
            assert time.monotonic() < end
            time.sleep(0.05)
        process.terminate()
        assert process.wait(pod["terminationGracePeriodSeconds"]) == 0
    finally:
        process.kill()
        process.wait()
    service = manifests["Service"]["spec"]
    assert service["selector"].items() <= manifests["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    assert {port["targetPort"] for port in service["ports"]} <= ports.keys()


def _probe(url: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                assert response.status == 200
                return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)


def _is_listed(address: str, port: int, tcp: bool) -> bool:
    name = ".".join(reversed(address.split("."))) + f".{ZONE}"
    flags = ["+tcp"] if tcp else ["+notcp"]
    done = subprocess.run(
        ["dig", "@127.0.0.1", "-p", str(port), "+short", "+tries=3", *flags, name, "A"],
        capture_output=True,
        text=True,
        check=True,
    )
    return "127.0.0." in done.stdout
