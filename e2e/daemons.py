"""Programs that the end-to-end tests run: started with files of their own, waited for, and stopped by process id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

PATIENCE = 60.0


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"{what}: not so after {patience:g} seconds"
        time.sleep(0.05)


def accepts(address: str, port: int) -> bool:
    """Whether somebody takes TCP connections there."""
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


class Daemon:
    """A program in the foreground, with its output in a file. Use it as a context; `is_ready` is asked until it is so.

    It is the head of a process group of its own, which ends with it.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        is_ready: Callable[[], object],
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        stop: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self._is_ready = is_ready
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._stop = stop
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> "Daemon":
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=subprocess.STDOUT, env=self._env, cwd=self._cwd, start_new_session=True
            )
        try:
            until(self._ready_or_dead, f"{self.command[0]} is ready")
        except BaseException:
            self.__exit__(None, None, None)
            print(self.output())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(self._stop)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def _ready_or_dead(self) -> bool:
        assert self.process.poll() is None, f"{self.command[0]} ended:\n{self.output()}"
        return bool(self._is_ready())
