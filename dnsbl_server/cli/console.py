"""What the commands write for people.

Owns the console, its colours on a terminal, the progress of long work, and how problems and counts are shown.
"""

import time

from rich.console import Console
from rich.status import Status
from rich.text import Text

from dnsbl_server.model.problem import Problem, Problems, printable

# Work that takes longer than so many seconds shows that it goes on.
_PROGRESS_AFTER = 1.0


def open_console(stderr: bool = False) -> Console:
    """Standard output or standard error as a console."""
    # soft_wrap: a line of a file or a log stays one line, wherever it goes.
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


class Progress:
    """Shows on a terminal what is being read, once that takes a while. Use it as a context."""

    def __init__(self) -> None:
        self._console = open_console(stderr=True)
        self._since = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, path: str, count: int) -> None:
        """So many entries of a file were read."""
        if not self._console.is_terminal or time.monotonic() - self._since < _PROGRESS_AFTER:
            return
        text = Text(f"reading {printable(path)}: {count:,} entries")
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)


def show_problems(problems: Problems) -> None:
    """Show problems on standard error, one a line."""
    console = open_console(stderr=True)
    for problem in problems:
        console.print(str(problem), style=_style_of(problem))
    for file, count in problems.left_out.items():
        console.print(f"{printable(file)}: {count:,} more problems")


def _style_of(problem: Problem) -> str:
    return "yellow" if problem.warning else "red"


def count_of(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun in singular or plural."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
