"""What the builds of `make checked` and `make sanitized` promise: a wrong access ends the process, and is named.

No test of the program, so it is only run by name. DNSBL_BUILD says which build this is. Each case does what nothing in
the program does - it changes a table behind the back of the engine that has checked it, or makes up a route - in a
process of its own, and that must end as the build says.
"""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.server
SANITIZED = {"checked": False, "sanitized": True}[os.environ["DNSBL_BUILD"]]

_START = """
import struct
from array import array
from dnsbl_server.answer import _probe
from dnsbl_server.answer._directory import Directory
from dnsbl_server.engine._view import Engine
from dnsbl_server.engine._worker import Worker
from dnsbl_server.table._sections import Sections
from dnsbl_server.answer._outcome import LISTED
from tests.asking import plain
from tests.table.test_damaged import TABLES, memory_of, sections_of
from tests.table.test_table import BUFFER

memory = memory_of(sections_of(BUFFER))
table = Sections(memory, 2)
directory = Directory([table])
at = memory["offsets"].cast("I")[2]
named = memory_of(sections_of(TABLES["one name"]))
names = Directory([Sections(named, 2)])
tag = max(named["slots"].cast("Q")) >> 32 << 32

def ask():
    assert _probe.answer(directory, plain("15.0.0.0.bl.example.org"), 2.0).outcome == LISTED
    assert _probe.answer(names, plain("com.bl.example.org", 16), 2.0).outcome == LISTED

ask()
"""
# What a step into a table is checked for, in both builds.
_STEPS = {
    "an index that leads out of its intervals": "memory['index4'].cast('I')[0] = 1 << 30",
    "a number without an answer": "memory['end4'].cast('I')[1::2] = array('I', [1 << 30] * 3)",
    "an answer that is behind the others": "memory['offsets'].cast('I')[1:] = array('I', [1 << 30] * 3)",
    "an answer that follows itself": "memory['answers'][at : at + 12] = struct.pack('<QI', 1, 2)",
    "a slot that leads out of the nodes": "named['slots'].cast('Q')[:] = array('Q', [tag | 1 << 31] * 3)",
    "a node with a pair that is none": "named['nodes'][6] = 62 << 2",
    "an answer that shows more labels than the name has": "named['texts'][:2] = b'\\1\\2'",
    "an answer with more codes than there is room for": "memory['answers'][at + 16 : at + 18] = b'\\xff\\xff'",
}
# What only the sanitizers can see, and what they call it.
_ACCESSES = {
    "a label that is longer than its memory": (
        "memory['name'][len('xblxexample')] = 255; Directory([table])",
        "AddressSanitizer: heap-buffer-overflow",
    ),
    "a socket that is none": (
        "Worker(Engine(1, bytes(256)), [], 8, 0).send(b'?', struct.pack('4I96x', 1, 1 << 20, 0, 0))",
        "runtime error: index 1048576 out of bounds",
    ),
}


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", f"{_START}\n{code}\nask()\n"], capture_output=True, text=True)


def test_a_right_access_is_none_of_their_business() -> None:
    ended = run("")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("step", _STEPS)
def test_a_wrong_step_into_a_table_is_caught(step: str) -> None:
    ended = run(_STEPS[step])
    assert (ended.returncode, ended.stderr) == (-signal.SIGABRT, "")


@pytest.mark.skipif(not SANITIZED, reason="this build has no sanitizers")
@pytest.mark.parametrize("access", _ACCESSES)
def test_a_wrong_access_is_caught(access: str) -> None:
    code, message = _ACCESSES[access]
    ended = run(code)
    assert ended.returncode not in (0, -signal.SIGSEGV)
    assert message in ended.stderr
