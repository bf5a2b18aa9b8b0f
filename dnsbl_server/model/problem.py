"""What is wrong with a file, and where.

Owns the shape of a message: `file:line:column: value: what is wrong and what is accepted`. Everything that reads a
file collects its problems in one `Problems`, so that one run shows all of them. Knows nothing of what is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# A hostile file can hold millions of bad lines; nobody reads more of them than this for one file.
MAX_PER_FILE = 1000
_SHOWN_VALUE = 60


class Place(NamedTuple):
    """A position in a file: line and column count from 1, and 0 stands for "the file as a whole"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        shown = printable(self.file)
        if self.line:
            shown += f":{self.line}"
            if self.column:
                shown += f":{self.column}"
        return shown


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one value. A warning is shown, but does not keep the file from being used."""

    place: Place
    value: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning: " if self.warning else ""
        value = f"{shorten(self.value)}: " if self.value else ""
        return f"{self.place}: {kind}{value}{self.message}"


class Problems:
    """A collector of problems, in the order they were found."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._per_file: dict[str, int] = {}
        # How many problems of each file are not kept because there were too many.
        self.left_out: dict[str, int] = {}
        self._refused: set[str] = set()

    def error(self, place: Place, value: str, message: str) -> None:
        self.add(Problem(place, value, message))

    def warning(self, place: Place, value: str, message: str) -> None:
        self.add(Problem(place, value, message, warning=True))

    def extend(self, other: "Problems") -> None:
        for problem in other:
            self.add(problem)
        for file, count in other.left_out.items():
            self.leave_out(file, count)

    def leave_out(self, file: str, count: int) -> None:
        """Note that there are so many more problems of a file."""
        self.left_out[file] = self.left_out.get(file, 0) + count

    def add(self, problem: Problem) -> None:
        file = problem.place.file
        count = self._per_file.get(file, 0) + 1
        self._per_file[file] = count
        # An error is kept past the limit when it would be the first: a flood of warnings must not hide that.
        first_error = not problem.warning and file not in self._refused
        if count <= MAX_PER_FILE or first_error:
            self._problems.append(problem)
        else:
            self.leave_out(file, 1)
        if not problem.warning:
            self._refused.add(file)

    def errors_in(self, file: str) -> bool:
        """Whether anything but warnings was found in a file."""
        return file in self._refused

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self._problems if not problem.warning]

    @property
    def warnings(self) -> list[Problem]:
        return [problem for problem in self._problems if problem.warning]

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems)

    def __len__(self) -> int:
        return len(self._problems)


def printable(text: str) -> str:
    """The text with control and other unprintable characters escaped, so that it is safe in a terminal and a log."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str) -> str:
    """The printable text, cut to one readable length."""
    shown = printable(text[: _SHOWN_VALUE + 1])
    return shown if len(shown) <= _SHOWN_VALUE else shown[: _SHOWN_VALUE - 3] + "..."
