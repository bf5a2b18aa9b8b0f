"""Postfix refuses mail from listed addresses, tells why, and takes and delivers the rest.

With `reject_rbl_client` and with postscreen's weights, as contrib/postfix-main.cf and contrib/postfix-master.cf have
them, through an Unbound: over IPv4 and IPv6, while the zone is being reloaded, and after an entry was removed or added.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.rcode
import pytest

from e2e.conftest import LISTED, LISTED6, RANGED, TEXT, UNLISTED, UNLISTED6, ZONE
from e2e.daemons import PATIENCE, Daemon, until
from e2e.postfix import Outcome, Postfix, resolve, resolver, send_all, send_mail
from tests.serving import ServerProcess

ACCEPTED = "250 2.0.0 Ok: queued as "
REASON = "{ip} hit our spam traps: unsolicited mail. Listed until further notice. https://bl.example.org/?ip={ip}"
REFUSED = f"554 5.7.1 Service unavailable; Client host [{{ip}}] blocked using {ZONE}; {REASON}"
SCREENED = f"550 5.7.1 Service unavailable; client [{{ip}}] blocked using {ZONE}"
# Resolvers may keep nothing for longer than a test waits.
SHORT = TEXT.replace("\nttl: 2m\n", "\nttl: 2s\n")
assert SHORT != TEXT


def write(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)


def assert_accepted(postfix: Postfix, outcome: Outcome, subject: str) -> None:
    assert outcome.reply.startswith(ACCEPTED), outcome.dialogue
    postfix.wait_for_mail(subject)


@contextmanager
def reloading(zone_file: Path, server: ServerProcess, text: str) -> Iterator[None]:
    """Meanwhile other entries of the zone come and go, and the server loads it as often as it can."""
    over = threading.Event()
    problems: list[BaseException] = []

    def rewrite() -> None:
        done = sum("reloaded, " in line for line in server.log)
        try:
            while not over.is_set():
                done += 1
                # None of the addresses that send mail; another one each time, so that each time something changes.
                write(zone_file, text + f"      - 100.64.{done // 256 % 256}.{done % 256}\n")
                server.wait_for("reloaded, ", done)
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=rewrite, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(2 * PATIENCE)
    assert not problems, problems
    assert not thread.is_alive()


def reloads(server: ServerProcess) -> int:
    return sum("reloaded, " in line for line in server.log)


@pytest.fixture
def unbound(server: ServerProcess, tmp_path: Path) -> Iterator[Daemon]:
    with resolver(tmp_path / "unbound") as daemon:
        yield daemon


@pytest.fixture
def forgetful_unbound(server: ServerProcess, tmp_path: Path) -> Iterator[Daemon]:
    """Each query gets to our server."""
    with resolver(tmp_path / "unbound", keeps_answers=False) as daemon:
        yield daemon


@pytest.mark.usefixtures("unbound")
def test_smtpd_refuses_with_the_reason_and_delivers_the_rest() -> None:
    with Postfix() as postfix:
        sources = (LISTED, LISTED6, UNLISTED, UNLISTED6, RANGED)
        outcomes = dict(zip(sources, send_all(sources, "mail from"), strict=True))
        for source in (LISTED, LISTED6):
            assert outcomes[source].reply == REFUSED.format(ip=source), outcomes[source].dialogue
        # 192.0.2.130 is listed with a code that the filter does not name.
        for source in (UNLISTED, UNLISTED6, RANGED):
            assert_accepted(postfix, outcomes[source], f"mail from {source}")
        assert postfix.delivered() == sorted(f"mail from {source}" for source in (UNLISTED, UNLISTED6, RANGED))
        for outcome in outcomes.values():
            print(outcome.dialogue, end="\n\n")


@pytest.mark.usefixtures("unbound")
def test_the_reason_is_told_up_to_what_fits(zone_file: Path, server: ServerProcess) -> None:
    """Of a TXT record Postfix takes the first string, 255 bytes; the server allows 500 in two."""
    text = "".join(f"{number:04}-" for number in range(100))
    write(zone_file, TEXT.replace("reason: unsolicited mail", f'reason: "{text}"').replace('"{ip} hit', '"{reason}" #'))
    server.wait_for("reloaded, ")
    (record,) = (record for answer in resolve(f"7.2.0.192.{ZONE}", "TXT").answer for record in answer)
    assert [len(string) for string in record.strings] == [255, 245]
    with Postfix():
        outcome = send_mail(LISTED, "too long")
    expected = f"554 5.7.1 Service unavailable; Client host [{LISTED}] blocked using {ZONE}; {text[:255]}"
    assert outcome.reply == expected, outcome.dialogue


@pytest.mark.usefixtures("unbound")
def test_the_reasons_of_all_lists_are_told(zone_file: Path, server: ServerProcess) -> None:
    write(zone_file, TEXT + f"      - {LISTED}\n")
    server.wait_for("reloaded, ")
    with Postfix():
        outcome = send_mail(LISTED, "twice")
    begin = REFUSED.removesuffix(REASON).format(ip=LISTED)
    reasons = [REASON.format(ip=LISTED), f"{LISTED} is in a dynamic pool"]
    # Resolvers turn the order around as they like.
    assert outcome.reply in (begin + " / ".join(reasons), begin + " / ".join(reversed(reasons))), outcome.dialogue


@pytest.mark.usefixtures("forgetful_unbound")
def test_smtpd_is_told_right_while_the_zone_is_reloaded(zone_file: Path, server: ServerProcess) -> None:
    # An smtpd for each session: one that lives on has the answers in its memory.
    with Postfix(settings="max_use = 1\n") as postfix, reloading(zone_file, server, TEXT):
        expected, rounds = [], 0
        before = reloads(server)
        while rounds < 5 or reloads(server) - before < 5:
            rounds += 1
            assert rounds < 200, "the zone was not reloaded five times"
            sources = (LISTED, UNLISTED, LISTED6, UNLISTED6)
            outcomes = dict(zip(sources, send_all(sources, f"mail {rounds} from"), strict=True))
            for source in (LISTED, LISTED6):
                assert outcomes[source].reply == REFUSED.format(ip=source), outcomes[source].dialogue
            for source in (UNLISTED, UNLISTED6):
                assert outcomes[source].reply.startswith(ACCEPTED), outcomes[source].dialogue
                expected.append(f"mail {rounds} from {source}")
        until(lambda: len(postfix.delivered()) >= len(expected), "all mail is delivered")
        assert postfix.delivered() == sorted(expected)
        assert "lookup error" not in postfix.daemon.output()
    # The server, not a cache, has told so.
    told = {"zone": ZONE, "transport": "udp"}
    for qtype in ("A", "TXT"):
        assert server.metric("dnsbl_queries_total", **told, qtype=qtype, outcome="listed") >= 2 * rounds
    assert server.metric("dnsbl_queries_total", **told, qtype="A", outcome="not_listed") >= 2 * rounds


def test_smtpd_follows_what_is_removed_and_added(zone_file: Path, server: ServerProcess, tmp_path: Path) -> None:
    write(zone_file, SHORT)
    server.wait_for("reloaded, ")
    # One smtpd that does not end by itself, so that what it does with what it remembers is always the same.
    settings = "max_idle = 1h\nmax_use = 1000\n"
    with resolver(tmp_path / "unbound"), Postfix(smtpd_processes="1", settings=settings) as postfix:
        assert send_mail(LISTED, "too early").reply == REFUSED.format(ip=LISTED)
        assert_accepted(postfix, send_mail(UNLISTED, "in time"), "in time")

        write(zone_file, SHORT.replace(f"- {LISTED}\n", f"- {UNLISTED}\n"))
        server.wait_for("reloaded, ", 2)
        until(lambda: resolve(f"7.2.0.192.{ZONE}").rcode() == dns.rcode.NXDOMAIN, "the resolver has forgotten it")
        until(lambda: resolve(f"9.113.0.203.{ZONE}").answer, "the resolver has learned it")
        # This is no wish but a fact about Postfix, which contrib/postfix-main.cf states.
        assert send_mail(LISTED, "still too early").reply == REFUSED.format(ip=LISTED)
        assert_accepted(postfix, send_mail(UNLISTED, "still in time"), "still in time")

        postfix.reload()
        until(lambda: send_mail(LISTED, "removed").reply.startswith(ACCEPTED), "the removed address is accepted")
        postfix.wait_for_mail("removed")
        until(lambda: send_mail(UNLISTED, "added").reply == REFUSED.format(ip=UNLISTED), "the new one is refused")


@pytest.mark.usefixtures("forgetful_unbound")
@pytest.mark.parametrize("is_reloading", [False, True], ids=["quiet", "reloading"])
def test_postscreen_weighs(zone_file: Path, server: ServerProcess, is_reloading: bool) -> None:
    with Postfix(with_postscreen=True) as postfix:
        # One of each, as postscreen asks once for all sessions that an address has at a time.
        sources = (LISTED, RANGED, UNLISTED, LISTED6, UNLISTED6)
        if is_reloading:
            before = reloads(server)
            with reloading(zone_file, server, TEXT):
                until(lambda: reloads(server) > before, "the zone is being reloaded")
                outcomes = dict(zip(sources, send_all(sources, "mail from"), strict=True))
                # One was under way all the time.
                until(lambda: reloads(server) > before + 1, "the zone was reloaded again")
        else:
            outcomes = dict(zip(sources, send_all(sources, "mail from"), strict=True))
        for source in (LISTED, LISTED6):
            assert outcomes[source].reply == SCREENED.format(ip=source), outcomes[source].dialogue
            postfix.wait_for_log(f"DNSBL rank 3 for [{source}]:")
            postfix.wait_for_log(f"addr {source} listed by domain {ZONE} as 127.0.0.2")
        for source in (RANGED, UNLISTED, UNLISTED6):
            assert_accepted(postfix, outcomes[source], f"mail from {source}")
            postfix.wait_for_log(f"PASS NEW [{source}]:")
            assert f" for [{source}]:" not in postfix.daemon.output()
        # The dynamic one was found, and does not weigh enough.
        postfix.wait_for_log(f"addr {RANGED} listed by domain {ZONE} as 127.0.0.10")
        assert postfix.delivered() == sorted(f"mail from {source}" for source in (RANGED, UNLISTED, UNLISTED6))
        for outcome in outcomes.values():
            print(outcome.dialogue, end="\n\n")
        print(postfix.daemon.output())


def test_postscreen_follows_what_is_removed(zone_file: Path, server: ServerProcess, tmp_path: Path) -> None:
    write(zone_file, SHORT)
    server.wait_for("reloaded, ")
    with resolver(tmp_path / "unbound"), Postfix(with_postscreen=True) as postfix:
        assert send_mail(LISTED, "too early").reply == SCREENED.format(ip=LISTED)
        write(zone_file, SHORT.replace(f"      - {LISTED}\n", ""))
        server.wait_for("reloaded, ", 2)
        until(lambda: send_mail(LISTED, "removed").reply.startswith(ACCEPTED), "the removed address is accepted")
        postfix.wait_for_mail("removed")
