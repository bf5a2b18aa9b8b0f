"""A Postfix of the tests' own, the resolver it asks, and clients that send it mail from an address of their choice.

Postfix reads the files that contrib/ offers to administrators as they are; around them stands only what gives it a
place of its own: directories, addresses, one mailbox.
"""

import shutil
import smtplib
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from e2e.conftest import MAIL, MAIL6, OURS, ZONE
from e2e.daemons import PATIENCE, Daemon, accepts, until

CONTRIB = Path(__file__).parent.parent / "contrib"
RESOLVER = "127.0.0.1"
MAILBOX = "postmaster@example.net"
SENDER = "someone@example.com"
HELO = "client.example.com"

# Everything but our zones ends here, so that nothing waits for name servers that cannot be reached.
UNBOUND = """\
server:
    interface: {resolver}
    port: 53
    access-control: 127.0.0.0/8 allow
    directory: "{directory}"
    pidfile: ""
    chroot: ""
    username: ""
    use-syslog: no
    logfile: ""
    do-daemonize: no
    num-threads: 1
    module-config: "iterator"
    qname-minimisation: yes
    local-zone: "." static
{more}
remote-control:
    control-enable: no
"""
ZONE_OF_OURS = """\
server:
    local-zone: "{zone}." transparent
stub-zone:
    name: "{zone}"
    stub-addr: {server}
"""

MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = /dev/stdout
myhostname = mail.example.net
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = {addresses}
inet_protocols = all
alias_maps =
alias_database =
smtputf8_enable = no
virtual_mailbox_domains = example.net
virtual_mailbox_maps = inline:{{ {mailbox}=inbox/ }}
virtual_mailbox_base = {directory}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""

# service, type, private, unprivileged, chroot, wake-up, processes, command
SMTPD = "smtp inet n - n - {processes} smtpd\n"
MASTER = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def resolve(name: str, qtype: str = "A") -> dns.message.Message:
    """Ask the resolver of the system, as Postfix does; over TCP, where nobody has to wait for what was lost."""
    return dns.query.tcp(dns.message.make_query(name, qtype), RESOLVER, PATIENCE)


def _knows(zone: str) -> bool:
    try:
        return resolve(zone, "SOA").rcode() == dns.rcode.NOERROR
    except (OSError, EOFError, dns.exception.DNSException):
        return False


@contextmanager
def resolver(
    directory: Path, keeps_answers: bool = True, zone: str = ZONE, records: Sequence[str] = ()
) -> Iterator[Daemon]:
    """An Unbound on 127.0.0.1, which knows a zone of ours.

    keeps_answers: false where each query is to get to our server.
    records: what there is besides, such as the names of addresses, each as in a zone file.
    """
    directory.mkdir()
    lines = [f"    local-data: '{record}'\n" for record in records]
    if not keeps_answers:
        lines.append("    cache-max-ttl: 0\n    cache-max-negative-ttl: 0\n")
    more = "".join(lines) + ZONE_OF_OURS.format(zone=zone, server=OURS)
    config = directory / "unbound.conf"
    config.write_text(UNBOUND.format(resolver=RESOLVER, directory=directory, more=more))
    with Daemon(["unbound", "-d", "-c", config], directory / "log", lambda: _knows(zone)) as daemon:
        yield daemon


class _RecordedSMTP(smtplib.SMTP):
    """An SMTP client that writes down what is said."""

    def __init__(self, dialogue: list[str], source: str, helo: str) -> None:
        self._dialogue = dialogue
        super().__init__(
            MAIL6 if ":" in source else MAIL,
            local_hostname=helo,
            timeout=PATIENCE,
            source_address=(source, 0),
        )

    def send(self, s: str | bytes) -> None:  # type: ignore[override]
        text = s if isinstance(s, str) else s.decode()
        self._dialogue += [f"C: {line}" for line in text.splitlines()]
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        code, text = super().getreply()
        self._dialogue += [f"S: {code} {line}" for line in text.decode().splitlines()]
        return code, text


@dataclass(frozen=True)
class Outcome:
    """What became of a mail: the last reply to RCPT or to the message, and all that was said."""

    code: int
    text: str
    dialogue: str

    @property
    def reply(self) -> str:
        return f"{self.code} {self.text}"


def send_mail(source: str, subject: str, sender: str = SENDER, helo: str = HELO) -> Outcome:
    """Send one mail to the mailbox from an address, for a sender, and with a name in EHLO."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = MAILBOX
    message["Subject"] = subject
    message.set_content("Hello.\n")
    dialogue: list[str] = []
    with _RecordedSMTP(dialogue, source, helo) as client:
        client.ehlo()
        client.mail(sender)
        code, text = client.rcpt(MAILBOX)
        if code == 250:
            code, text = client.data(message.as_bytes())
    return Outcome(code, text.decode(), "\n".join(dialogue))


def send_all(sources: Sequence[str], subject: str) -> list[Outcome]:
    """Send a mail from each of the addresses at once; the subjects are the one given and the address."""
    outcomes: list[Outcome | BaseException | None] = [None] * len(sources)

    def send(place: int, source: str) -> None:
        try:
            outcomes[place] = send_mail(source, f"{subject} {source}")
        except BaseException as error:
            outcomes[place] = error

    threads = [threading.Thread(target=send, args=one, daemon=True) for one in enumerate(sources)]
    for thread in threads:
        thread.start()
    for thread in threads:
        # Four replies may each be waited for.
        thread.join(5 * PATIENCE)
    done = []
    for source, outcome in zip(sources, outcomes, strict=True):
        assert isinstance(outcome, Outcome), f"{source}: {outcome!r}"
        done.append(outcome)
    return done


class Postfix:
    """A Postfix on port 25 of the mail server's addresses. Use it as a context.

    with_postscreen: with the services of contrib/postfix-master.cf instead of a plain smtpd.
    smtpd_processes: how many there may be at once, "-" for Postfix's default.
    settings: lines of main.cf after those of `main`, which is a file of contrib/.
    """

    def __init__(
        self,
        with_postscreen: bool = False,
        smtpd_processes: str = "-",
        settings: str = "",
        main: str = "postfix-main.cf",
    ) -> None:
        self._main = main
        self._with_postscreen = with_postscreen
        self._smtpd_processes = smtpd_processes
        self._settings = settings
        self._stack = ExitStack()
        self.directory: Path
        self.daemon: Daemon

    def __enter__(self) -> "Postfix":
        with ExitStack() as stack:
            # Not below pytest's directory, which is closed to the users that Postfix works as.
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="e2e-postfix-")))
            self.directory.chmod(0o755)
            self._write_files()
            subprocess.run(["postfix", "-c", self._config, "check"], check=True, timeout=PATIENCE)
            program = f"{self._setting('daemon_directory')}/master"
            self.daemon = Daemon(
                [program, "-c", self._config, "-s"],
                self.directory / "log",
                lambda: accepts(MAIL, 25) and accepts(MAIL6, 25),
            )
            stack.enter_context(self.daemon)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def _config(self) -> Path:
        return self.directory / "config"

    def _write_files(self) -> None:
        for name in ("config", "queue", "data", "mail"):
            (self.directory / name).mkdir()
        shutil.chown(self.directory / "data", "postfix")
        shutil.chown(self.directory / "mail", "nobody", "nogroup")
        mail = (self.directory / "mail").stat()
        main = MAIN.format(
            directory=self.directory, addresses=f"{MAIL}, {MAIL6}", mailbox=MAILBOX, uid=mail.st_uid, gid=mail.st_gid
        )
        (self._config / "main.cf").write_text(main + (CONTRIB / self._main).read_text() + self._settings)
        smtp = SMTPD.format(processes=self._smtpd_processes)
        if self._with_postscreen:
            smtp = (CONTRIB / "postfix-master.cf").read_text()
        (self._config / "master.cf").write_text(smtp + MASTER)

    def _setting(self, name: str) -> str:
        return subprocess.run(
            ["postconf", "-c", self._config, "-h", name], check=True, capture_output=True, text=True, timeout=PATIENCE
        ).stdout.strip()

    def reload(self) -> None:
        """Have it read its files again, and replace its processes, as an administrator does."""
        subprocess.run(["postfix", "-c", self._config, "reload"], check=True, timeout=PATIENCE)

    def delivered(self) -> list[str]:
        """The subjects of the mails in the mailbox."""
        inbox = self.directory / "mail" / "inbox"
        mails = [message_from_bytes(path.read_bytes()) for state in ("new", "cur") for path in inbox.glob(f"{state}/*")]
        return sorted(str(mail["Subject"]) for mail in mails)

    def wait_for_mail(self, subject: str) -> None:
        until(lambda: subject in self.delivered(), f"{subject!r} is in the mailbox")

    def wait_for_log(self, text: str) -> None:
        until(lambda: text in self.daemon.output(), f"{text!r} is in the log of Postfix")
