"""The loader process itself: what it is given to be, and what it does with a job that it cannot read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dnsbl_server.supply.exchange import Job
from dnsbl_server.supply.process import LoaderProcess
from tests.reloading import zone_text
from tests.serving import PATIENCE

pytestmark = pytest.mark.server

# Notes, from inside of a load, how the process stands with the kernel.
NOTE = """
import json, os, pathlib
import dnsbl_server.supply.load as module

load_zones = module.load_zones

def noted(*arguments):
    stands = {{"nice": os.nice(0), "oom": pathlib.Path("/proc/self/oom_score_adj").read_text().strip()}}
    pathlib.Path({file!r}).write_text(json.dumps(stands))
    return load_zones(*arguments)

module.load_zones = noted
"""


def test_it_yields_the_processor_and_the_memory_to_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = tmp_path / "bl.yaml"
    zone.write_text(zone_text("192.0.2.1"))
    place = tmp_path / "python"
    place.mkdir()
    note = tmp_path / "note"
    (place / "sitecustomize.py").write_text(NOTE.format(file=str(note)))
    monkeypatch.setenv("PYTHONPATH", str(place))
    assert LoaderProcess(PATIENCE).run(Job((str(zone),), {}, {})).tables
    stands = json.loads(note.read_text())
    assert stands["nice"] == min(19, os.nice(0) + 10)
    assert stands["oom"] == "1000"


@pytest.mark.parametrize("job", [b"", b"{}", b'{"files": "a", "served": {}, "versions": {}}'])
def test_a_job_that_cannot_be_read_is_refused_with_the_reason(job: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dnsbl_server.supply.loader"], input=job, capture_output=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ExchangeError: job" in done.stderr.splitlines()[-1]
