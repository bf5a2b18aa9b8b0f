"""How much memory a loader process may have when no setting says so.

Owns what counts as the memory of this machine: what is built in, or less where a control group has less (a container,
a systemd unit with MemoryMax).
"""

import os
from pathlib import Path

# Of the memory of the machine: the server keeps what it has, whatever a file makes of the loader.
_SHARE = 0.5
_LEAST = 256 << 20
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def default_load_memory() -> int:
    """Half of the memory that this process can have, in bytes; at least 256 MiB."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(_LEAST, int(_SHARE * min([machine, *_group_limits()])))


def _group_limits() -> list[int]:
    """The limits of the control groups that this process is in (cgroup v2), in bytes."""
    try:
        entries = _OWN_GROUP.read_text().splitlines()
    except OSError:
        return []
    path = next((entry.removeprefix("0::") for entry in entries if entry.startswith("0::")), "/")
    group = _GROUPS / path.strip("/")
    found = []
    for each in (group, *group.parents):
        try:
            text = (each / "memory.max").read_text().strip()
        except OSError:
            text = "max"
        if text.isdigit():
            found.append(int(text))
        if each == _GROUPS:
            break
    return found
