"""Zone files that are refused: a text, and a line that is shown for it."""

from pathlib import Path

from dnsbl_server.supply.load import LoadResult


def lines_of(result: LoadResult, directory: Path) -> list[str]:
    """The problems of the first zone file in a directory, without its name: line:column: value: message."""
    return [str(problem).replace(f"{directory}/z0.yaml:", "", 1) for problem in result.problems]


def assert_refused(result: LoadResult, directory: Path, expected: str) -> None:
    """Fail unless there is no zone, and a line that starts with a place, or else has a text, as expected.

    {file} and {dir} in what is expected stand for the zone file and its directory.
    """
    assert not result.zones
    expected = expected.replace("{file}", str(directory / "z0.yaml")).replace("{dir}", str(directory))
    lines = lines_of(result, directory)
    assert any(expected in line and (line.startswith(expected) or not expected[0].isdigit()) for line in lines), lines
