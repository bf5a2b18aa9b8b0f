"""A SpamAssassin of the tests' own: with a file of contrib/ and the plugins that this needs, and no other rule."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from e2e.conftest import MAIL
from e2e.daemons import PATIENCE
from e2e.postfix import CONTRIB

RULES = Path("/usr/share/spamassassin")
# Nothing of what Debian configures, so that no other rule has a part in it.
PLUGINS = ("Check", "DNSEval")
LOCAL = f"""\
dns_available yes
trusted_networks {MAIL}
internal_networks {MAIL}
use_bayes 0
rbl_timeout {PATIENCE:g}
clear_report_template
report _TESTSSCORES(,)_
"""


class SpamAssassin:
    """The command `spamassassin` in a directory.

    rules: the file of contrib/; plugins: more of them; settings: lines of local.cf.
    """

    def __init__(self, directory: Path, rules: str, plugins: Sequence[str] = (), settings: str = "") -> None:
        config, site = directory / "rules", directory / "site"
        config.mkdir()
        site.mkdir()
        # It wants to know the top level domains, and that there are rules.
        (config / "20_aux_tlds.cf").symlink_to(RULES / "20_aux_tlds.cf")
        load = "".join(f"loadplugin Mail::SpamAssassin::Plugin::{plugin}\n" for plugin in (*PLUGINS, *plugins))
        (site / "init.pre").write_text(load)
        (site / "local.cf").write_text(LOCAL + settings)
        (site / "dnsbl_example.cf").write_text((CONTRIB / rules).read_text())
        self._command: list[str | Path] = [
            "spamassassin",
            "-x",
            f"--configpath={config}",
            f"--siteconfigpath={site}",
        ]

    def complaints(self) -> tuple[int, str]:
        """What it finds wrong with its rules: the exit status, and what it says."""
        done = subprocess.run([*self._command, "--lint"], capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout + done.stderr

    def scan(self, message: str) -> dict[str, str]:
        """The tests that a message fails, with their scores."""
        done = subprocess.run(
            [*self._command, "-t"], input=message, capture_output=True, text=True, check=True, timeout=2 * PATIENCE
        )
        print(done.stdout, done.stderr)
        # The report is the last line that holds scores alone: all behind the message.
        tests = [test.partition("=") for line in done.stdout.splitlines() for test in line.split(",")]
        return {name: score for name, _, score in tests if name.isupper() and score}
