"""What a reload of a large zone does to the answers.

Queries are sent at a fixed rate for some time, while the list file is touched again and again, so that one load of all
its addresses follows another. Every answer is waited for; the time it took is counted from when its query was due.
All traffic is on loopback, and the run ends by its clock.

    python bench/reload.py [--hosts 1000000] [--rate 2000] [--seconds 20]
"""

import argparse
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import dns.message

_PAUSE = 0.5  # between a load and the next change, in seconds


def main() -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        list_file = Path(name) / "hosts.txt"
        hosts = random.Random(1).sample(range(1 << 24, 127 << 24), options.hosts)
        list_file.write_text("".join(socket.inet_ntoa(host.to_bytes(4)) + "\n" for host in hosts))
        (Path(name) / "bl.yaml").write_text("zone: bl.example.org\nfiles: [hosts.txt]\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "dnsbl_server", "serve", "--metrics", "off", name]
        server = subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            while "ready: " not in (line := server.stderr.readline()):
                if not line:
                    sys.exit("the server did not start")
            reloads: list[str] = []
            touching = threading.Thread(target=_touch, args=(server.stderr, list_file, reloads), daemon=True)
            touching.start()
            due, took = _ask(port, hosts, options.rate, options.seconds)
            memory = Path(f"/proc/{server.pid}/status").read_text().split("VmRSS:")[1].split("\n")[0].strip()
        finally:
            server.terminate()
            server.wait()
    took.sort()
    print(f"{len(took) + due} queries at {options.rate} a second, {len(reloads)} reloads of {options.hosts} addresses")
    print(f"lost: {due}; the server had {memory}")
    for share in (0.5, 0.99, 0.999):
        print(f"p{100 * share:g}: {1e3 * took[int(share * (len(took) - 1))]:.2f} ms")
    print(f"longest: {1e3 * took[-1]:.2f} ms")


def _touch(log: object, list_file: Path, reloads: list[str]) -> None:
    """Touch the file, wait until it is loaded, and so on until the server ends."""
    os.utime(list_file)
    for line in log:  # type: ignore[attr-defined]
        if "reloaded" in line:
            reloads.append(line)
            time.sleep(_PAUSE)
            os.utime(list_file)


def _ask(port: int, hosts: list[int], rate: int, seconds: float) -> tuple[int, list[float]]:
    """Ask at a rate; how many answers did not come, and how long the others took in seconds."""
    names = (".".join(map(str, reversed(host.to_bytes(4)))) + ".bl.example.org" for host in hosts[:5000])
    packets = [dns.message.make_query(name, "A").to_wire()[2:] for name in names]
    due: dict[int, float] = {}
    took: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.connect(("127.0.0.1", port))
        sock.settimeout(3)

        def receive() -> None:
            while True:
                try:
                    answer = sock.recv(2048)
                except TimeoutError:
                    return
                took.append(time.perf_counter() - due.pop(struct.unpack("!H", answer[:2])[0]))

        receiver = threading.Thread(target=receive)
        receiver.start()
        start = time.perf_counter()
        for number in range(int(rate * seconds)):
            moment = start + number / rate
            if (early := moment - time.perf_counter()) > 0:
                time.sleep(early)
            due[number & 0xFFFF] = moment
            sock.send(struct.pack("!H", number & 0xFFFF) + packets[number % len(packets)])
        receiver.join()
    return len(due), took


if __name__ == "__main__":
    main()
