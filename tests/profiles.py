"""How much the property tests try: the Hypothesis profiles. DNSBL_PROFILE names one.

quick     a quarter of the examples, the same each time: `make quick`, and mutants
default   what `make test` tries: other examples each time
ci        as many, the same each time, so that a red run can be repeated: `.ci/run`
long      twenty times as many: `make long`

No example has a deadline: machines that others use too are slow at times, and every test has a time limit. What
a test tries more or fewer times than others is said with `examples`, so that it grows and shrinks with the profile.
"""

import os

from hypothesis import settings

NAME = os.environ.get("DNSBL_PROFILE", "default")
_EXAMPLES = {"quick": 25, "default": 100, "ci": 100, "long": 2_000}

for _name, _examples in _EXAMPLES.items():
    settings.register_profile(
        f"dnsbl-{_name}", max_examples=_examples, deadline=None, derandomize=_name in ("quick", "ci"), print_blob=True
    )
settings.load_profile(f"dnsbl-{NAME}")


def examples(share: float) -> int:
    """So many times the examples of the profile, which are 100 by default; at least one."""
    return max(1, round(share * _EXAMPLES[NAME]))
