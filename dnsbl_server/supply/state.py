"""The state directory: what the server keeps for itself across restarts.

Owns which directory that is, and that one server alone has it. Without a directory that can be written, what is kept
lasts as long as the server, in memory. Knows nothing of what is kept there.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator

from dnsbl_server.model.problem import printable
from dnsbl_server.sources.files import reason_of
from dnsbl_server.sources.kept import KeptVersions

log = logging.getLogger(__name__)

_SYSTEM = "/var/lib/dnsbl-server"
_NAME = "dnsbl-server"
_MODE = 0o700
_LOCK = "lock"
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MEMORY = "/dev/shm"  # noqa: S108 - the directory in it has a random name and is private


class StateError(RuntimeError):
    """The state directory cannot be used; the text says why."""


def default_state() -> str:
    """The state directory of this user: that of the service manager, of the system where it may be written, or the
    user's own. Empty where there is none.
    """
    # systemd names several with colons between them.
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return given
    if os.access(_SYSTEM if os.path.isdir(_SYSTEM) else os.path.dirname(_SYSTEM), os.W_OK | os.X_OK):
        return _SYSTEM
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(home, _NAME) if os.path.isabs(home) else ""


def kept_in(setting: str | None) -> KeptVersions | None:
    """The versions that a state directory holds, only to be read; None for `off`, and where there is no directory.

    setting: the directory, or None for the default one.
    """
    path = default_state() if setting is None else setting
    return KeptVersions(path, may_write=False) if path not in ("", "off") else None


@contextlib.contextmanager
def open_state(setting: str | None) -> Iterator[str]:
    """The state directory, ours alone, until it is closed.

    setting: a directory; empty: none, what is kept is in memory; None: the default one, or memory where it cannot be
    had. Raises StateError for a directory that was named and cannot be used.
    """
    with contextlib.ExitStack() as stack:
        path = default_state() if setting is None else setting
        if path:
            try:
                stack.enter_context(_locked(path))
            except StateError as error:
                if setting is not None:
                    raise
                log.warning("%s; what is kept across reloads is in memory, and gone with a restart", error)
                path = ""
        yield path or stack.enter_context(_in_memory())


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """A directory that no other server has."""
    shown = f"the state directory {printable(path)}"
    try:
        os.makedirs(path, _MODE, exist_ok=True)
        descriptor = os.open(os.path.join(path, _LOCK), _LOCK_FLAGS, 0o600)
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise StateError(f"{shown} cannot be written: {reason}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            who = f" (process {printable(holder)})" if holder else ""
            raise StateError(f"{shown} is that of another server{who}; give each its own with --state") from error
        # Who has it is only said: a full disk keeps no server from starting.
        with contextlib.suppress(OSError):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _in_memory() -> Iterator[str]:
    """A directory that lasts as long as the server; empty where none can be made."""
    path = ""
    with contextlib.suppress(OSError):
        path = tempfile.mkdtemp(prefix="dnsbl-server-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
    try:
        yield path
    finally:
        if path:
            shutil.rmtree(path, ignore_errors=True)
