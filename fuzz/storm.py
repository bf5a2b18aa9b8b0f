"""Very many messages changed at random, in a native loop: `make storm`, or python -m fuzz.storm --packets N --seed S.

The messages are made from the seeds of the fuzzing, answered in batches over UDP and TCP, at all of MOMENTS, from the
zones beside this file, and each answer is held to the rules of all answers (`answer/_storm`). Of every 100,000 messages
some are given to the invariant of the fuzzing too: that the compiled answer is that of `respond`, byte for byte. The
numbers come from a seed, so what was found once is found again. An access out of bounds, or a rule that is broken, ends
the process with a status other than 0.
"""

import argparse
import os
import random
import sys
import time

from dnsbl_server.answer._storm import Storm
from dnsbl_server.answer.respond import OUTCOMES
from fuzz.answer import MOMENTS, SEEDS, open_zones

_ROUND = 100_000
_SAMPLE = 100  # messages of a round that are answered by `respond` too
_REPORT = 60.0  # seconds between two lines of progress


def run(packets: int, seed: int) -> str:
    """Answer so many messages; what there is to report. Raises AssertionError where an answer is wrong."""
    both = open_zones()
    source = random.Random(seed)
    seeds = [path.read_bytes()[1:] for path in sorted(SEEDS.iterdir())]
    storm = Storm(both.directory, seeds, seed)
    started = reported = time.monotonic()
    done = compared = 0
    while done < packets:
        now, tcp = source.choice(MOMENTS), source.random() < 0.3
        count = min(_ROUND, packets - done)
        storm.run(count, now, tcp)
        done += count
        for packet in storm.packets(min(_SAMPLE, count)):
            both.check(packet, now, tcp)
            compared += 1
        if time.monotonic() - reported > _REPORT:
            reported = time.monotonic()
            print(f"{done:,} of {packets:,} messages, {done / (reported - started):,.0f}/s", flush=True)
    seconds = time.monotonic() - started
    outcomes = zip([*OUTCOMES, "slow path"], storm.outcomes(), strict=True)
    seen = ", ".join(f"{outcome} {count:,}" for outcome, count in outcomes if count)
    return (
        f"{done:,} messages with seed {seed} in {seconds:,.0f} s ({done / seconds:,.0f}/s), build "
        f"{os.environ.get('DNSBL_BUILD', 'plain')}: no rule broken; {compared:,} of them the same as `respond`\n{seen}"
    )


def main() -> None:
    """Run it, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        print(run(options.packets, options.seed))
    except AssertionError as error:
        sys.exit(f"broken: {error}")


if __name__ == "__main__":
    main()
