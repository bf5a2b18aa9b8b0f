"""An Exim of the tests' own, which reads a file of contrib/ in its RCPT ACL, and keeps in its queue what it takes.

Debian cannot have it installed beside Postfix; e2e/run unpacks it.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from e2e.conftest import MAIL, MAIL6
from e2e.daemons import Daemon, accepts, until
from e2e.postfix import CONTRIB

PROGRAM = Path(__file__).parents[1] / ".build/e2e/exim4-daemon-light/usr/sbin/exim4"

CONFIG = """\
primary_hostname = mail.example.net
spool_directory = {directory}/spool
log_file_path = {directory}/log-%s
pid_file_path = {directory}/pid
daemon_smtp_ports = 25
local_interfaces = <; {addresses}
domainlist local_domains = example.net
acl_smtp_rcpt = check_rcpt
queue_only
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
keep_environment =
add_environment = PATH=/usr/sbin:/usr/bin

begin acl
check_rcpt:
{acl}
accept
  domains = +local_domains
deny
"""


class Exim:
    """An Exim on port 25 of the mail server's addresses. Use it as a context. acl: the file of contrib/."""

    def __init__(self, acl: str) -> None:
        self._acl = acl
        self._stack = ExitStack()
        self.directory: Path
        self.daemon: Daemon

    def __enter__(self) -> "Exim":
        with ExitStack() as stack:
            # Not below pytest's directory, which is closed to the user that Exim works as.
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="e2e-exim-")))
            self.directory.chmod(0o777)
            config = self.directory / "exim.conf"
            acl = (CONTRIB / self._acl).read_text()
            config.write_text(CONFIG.format(directory=self.directory, addresses=f"{MAIL} ; {MAIL6}", acl=acl))
            self.daemon = Daemon(
                [PROGRAM, "-bdf", "-C", config],
                self.directory / "output",
                lambda: accepts(MAIL, 25) and accepts(MAIL6, 25),
            )
            stack.enter_context(self.daemon)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def log(self) -> str:
        """What it has written to its main log."""
        path = self.directory / "log-main"
        return path.read_text() if path.exists() else ""

    def queued(self) -> list[str]:
        """The headers of the mails in its queue, as it keeps them."""
        return [path.read_text() for path in (self.directory / "spool" / "input").glob("**/*-H")]

    def wait_for_queued(self, *texts: str) -> None:
        until(lambda: any(all(text in mail for text in texts) for mail in self.queued()), f"{texts} in the queue")
