"""Runs the fuzzing: `make fuzz`, or python -m fuzz with the arguments of libFuzzer."""

import sys

import atheris

# The specification guides the search as the engine does: each has branches that the other has not.
with atheris.instrument_imports(include=["dnsbl_server"]):
    from fuzz.answer import Fuzzed

if __name__ == "__main__":
    fuzzed = Fuzzed()
    atheris.Setup(sys.argv, lambda data: fuzzed.check(data) and None)
    atheris.Fuzz()
