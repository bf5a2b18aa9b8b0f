"""The marks of tests are right, because a wrong one fails."""

import os
import subprocess
from collections.abc import Callable

import pytest


@pytest.mark.parametrize("start", [lambda: subprocess.Popen(["true"]), lambda: os.system("true")])
def test_a_test_without_the_mark_starts_no_process(start: Callable[[], object]) -> None:
    with pytest.raises(RuntimeError, match="needs the mark"):
        start()
