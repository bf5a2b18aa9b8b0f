"""The server as a whole: sockets, zones, metrics and signals, from start to stop.

Owns the order of things: what can fail because of the set-up (sockets, zones) fails before the first answer, and a
stop answers what has arrived. Knows how the parts fit together, and nothing of their work.
"""

import asyncio
import concurrent.futures.thread  # noqa: F401 - asyncio imports it late, when the user may not be able to read it
import errno
import logging
import os
import pwd
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

from dnsbl_server import __version__
from dnsbl_server.answer.snapshot import Identity
from dnsbl_server.config import DEFAULT_LISTEN, Settings
from dnsbl_server.endpoint import Endpoint
from dnsbl_server.engine.metrics import QueryCollector
from dnsbl_server.engine.service import Service
from dnsbl_server.engine.tcp import TcpConnections, TcpLimits
from dnsbl_server.engine.udp import UdpThreads
from dnsbl_server.http.metrics import MetricsServer
from dnsbl_server.model.problem import Problems
from dnsbl_server.notify import ServiceManager
from dnsbl_server.supply.loader import Loader, LoaderError
from dnsbl_server.supply.metrics import ZoneCollector
from dnsbl_server.supply.reload import Reloader

log = logging.getLogger(__name__)

_BACKLOG = 1024
_BIND_ATTEMPTS = 20
_SPARE_DESCRIPTORS = 4000  # for some 1000 zones
# Linux, socket(7) and ip(7); Python has no names for them.
_SO_RCVBUFFORCE = 33
_IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE = 10, 3


class StartError(RuntimeError):
    """The server cannot start; the text says why and what to do. problems: of the zones, if it is because of them."""

    def __init__(self, message: str, problems: Problems | None = None) -> None:
        super().__init__(message)
        self.problems = problems


class Server:
    """A server with its settings. `run` serves until `stop` is called."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = settings.threads or len(os.sched_getaffinity(0))
        self.service = Service(self._threads, Identity(settings.version_text, settings.server_id))
        self.endpoints: list[Endpoint] = []
        self.metrics_endpoint: Endpoint | None = None
        self.reloader: Reloader | None = None
        self.ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._manager = ServiceManager()

    def stop(self) -> None:
        """Make `run` return."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until stopped. Raises StartError."""
        settings = self._settings
        _allow_descriptors(settings, self._threads)
        with ExitStack() as sockets:
            pairs = [self._bind(endpoint, sockets) for endpoint in settings.listen]
            bound = [pair for pair in pairs if pair is not None]
            if not bound:
                raise StartError("no address to listen on is there")
            async with AsyncExitStack() as stack:
                await self._serve(bound, sockets, stack)

    async def _serve(
        self, bound: list[tuple[list[socket.socket], socket.socket]], sockets: ExitStack, stack: AsyncExitStack
    ) -> None:
        settings = self._settings
        loader = Loader(settings.load_timeout)
        reloader = Reloader(settings.zones, self.service, loader, settings.poll_interval, self._tell_reload)
        self.reloader = reloader
        stack.push_async_callback(reloader.close)
        self._handle_signals(reloader, stack)
        if settings.metrics is not None:
            try:
                collectors = (QueryCollector(self.service), ZoneCollector(lambda: reloader.statuses))
                metrics = MetricsServer(settings.metrics, collectors, self.ready.is_set, __version__)
            except OSError as error:
                raise StartError(_cannot_listen(settings.metrics, "metrics", error)) from error
            stack.callback(metrics.close)
            self.metrics_endpoint = metrics.endpoint
        try:
            udp = UdpThreads(
                self.service.engine,
                list(zip(*(udps for udps, _ in bound), strict=True)),
                lambda packet: self.service.answer_odd(packet, "udp"),
                lambda: self.service.count_dropped("udp"),
            )
        except OSError as error:
            raise StartError(f"no room for {self._threads} threads: {error.strerror}; see ulimit -n") from error
        stack.callback(udp.close)
        self.service.receive_drops = udp.receive_drops
        # All that needs root is done: sockets are bound, and the zones are read by whoever answers from them.
        _become(settings.user)
        if not await self._load(reloader):
            return
        sockets.pop_all()  # from here on the listeners own them
        limits = TcpLimits(settings.tcp_connections, settings.tcp_idle_timeout)
        connections = TcpConnections(self.service.answer, limits)
        self.service.tcp_connections = connections.__len__
        loop = asyncio.get_running_loop()
        try:
            udp.start()
        except RuntimeError as error:
            raise StartError(f"no room for {self._threads} threads: {error}; start fewer with --threads") from error
        for _, tcp in bound:
            server = await loop.create_server(connections.protocol, sock=tcp, backlog=_BACKLOG)
            stack.callback(server.close)
        stack.callback(connections.close)
        for endpoint in self.endpoints:
            log.info("listening on %s (UDP and TCP)", endpoint)
        if self.metrics_endpoint:
            log.info("metrics on http://%s/metrics", self.metrics_endpoint)
        zones = len(self.service.snapshot.zones)
        log.info("ready: dnsbl-server %s serves %d zones with %d threads", __version__, zones, self._threads)
        self._manager.ready(self._status())
        self.ready.set()
        reloading = asyncio.create_task(reloader.run())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((reloading, stopping), return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        self._manager.stopping()
        for task in (reloading, stopping):
            task.cancel()
        reloader.close_loader()
        outcome, _ = await asyncio.gather(reloading, stopping, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    async def _load(self, reloader: Reloader) -> bool:
        """Load the zones for the first time; whether there was no stop meanwhile."""
        log.info("loading zones from %s", ", ".join(self._settings.zones))
        loading = asyncio.create_task(reloader.start())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not loading.done():
            reloader.close_loader()
            await asyncio.gather(loading, return_exceptions=True)
            return False
        try:
            problems = loading.result()
        except LoaderError as error:
            raise StartError(str(error)) from error
        if problems.errors:
            raise StartError("the zones have errors; nothing is served", problems)
        return True

    def _tell_reload(self, has_begun: bool) -> None:
        if has_begun:
            self._manager.reloading()
        else:
            self._manager.ready(self._status())

    def _status(self) -> str:
        statuses = self.reloader.statuses.values() if self.reloader else ()
        failed = sum(not status.last_succeeded for status in statuses)
        entries = sum(status.entries for status in statuses)
        served = f"{len(self.service.snapshot.zones)} zones, {entries} entries"
        return f"{served}; {failed} zone files have errors" if failed else served

    def _handle_signals(self, reloader: Reloader, stack: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: reloader.request}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
            # It is stopping by then: one more signal changes nothing, and must not end it halfway.
            stack.callback(signal.signal, number, signal.SIG_IGN)
            stack.callback(loop.remove_signal_handler, number)

    def _bind(self, endpoint: Endpoint, sockets: ExitStack) -> tuple[list[socket.socket], socket.socket] | None:
        """The UDP sockets, one for each thread, and the TCP socket on one endpoint.

        None for a default one that this machine does not have.
        """
        for attempt in range(_BIND_ATTEMPTS):
            try:
                with ExitStack() as opened:
                    first = opened.enter_context(self._socket(endpoint, socket.SOCK_DGRAM))
                    bound = Endpoint(endpoint.address, first.getsockname()[1])
                    tcp = opened.enter_context(self._socket(bound, socket.SOCK_STREAM))
                    udp = [first, *self._bind_others(first, bound, opened)]
                    sockets.push(opened.pop_all())
            except OSError as error:
                is_taken = error.errno == errno.EADDRINUSE
                if endpoint.port == 0 and is_taken and attempt < _BIND_ATTEMPTS - 1:
                    continue  # somebody has the TCP port of that number
                is_missing = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
                if is_missing and self._settings.listen == DEFAULT_LISTEN and endpoint == DEFAULT_LISTEN[1]:
                    log.warning("this machine has no IPv6 loopback address; not listening on %s", endpoint)
                    return None
                raise StartError(_cannot_listen(endpoint, "DNS", error)) from error
            self.endpoints.append(bound)
            return udp, tcp
        raise AssertionError("unreachable")

    def _bind_others(self, first: socket.socket, endpoint: Endpoint, sockets: ExitStack) -> Iterator[socket.socket]:
        """The UDP sockets of the other threads.

        The first one was bound alone, which fails where anybody else has the port: from the moment on that two sockets
        share a port, each gets a part of the packets.
        """
        if self._threads > 1:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(self._threads - 1):
            yield sockets.enter_context(self._socket(endpoint, socket.SOCK_DGRAM, is_shared=True))

    def _socket(self, endpoint: Endpoint, kind: socket.SocketKind, is_shared: bool = False) -> socket.socket:
        family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        sock = socket.socket(family, kind)
        try:
            sock.setblocking(False)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                # A restart need not wait for the connections of the last run.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                _set_receive_buffer(sock, self._settings.receive_buffer)
                if family == socket.AF_INET:
                    # "Don't fragment", whatever ICMP says of the path (RFC 9715 section 3.1): answers fit all paths.
                    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
                if is_shared:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((endpoint.address, endpoint.port))
        except BaseException:
            sock.close()
            raise
        return sock


def _allow_descriptors(settings: Settings, threads: int) -> None:
    """Let the process have the descriptors that its connections, threads and zones (four in a reload) can take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.tcp_connections + threads * (len(settings.listen) + 2) + _SPARE_DESCRIPTORS
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("only %d open files are allowed, %d may be needed; see ulimit -n", allowed, wanted)


def _become(name: str | None) -> None:
    """Go on as another user, with its groups and no privileges; not as root, if it can be helped."""
    if name is None:
        if os.geteuid() == 0:
            log.warning("running as root; name a user to go on as, with --user or the setting user")
        return
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise StartError(f"there is no user {name}; make one, like: useradd --system {name}") from None
    if os.geteuid() == user.pw_uid:
        return
    try:
        os.initgroups(name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    except PermissionError:
        raise StartError(f"only root can go on as user {name}; start it as root, or without the setting user") from None
    log.info("going on as user %s", name)
    if not os.access(sys.executable, os.X_OK):
        # It would fail at the first load, with an error that nobody understands.
        raise StartError(f"user {name} cannot run {sys.executable}; install the program where all users can read it")


def _set_receive_buffer(sock: socket.socket, size: int) -> None:
    """Room for what arrives while the server is busy; past the system's limit where that is allowed."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _cannot_listen(endpoint: Endpoint, what: str, error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "another program has this port; stop it, or choose another port",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
        errno.EAFNOSUPPORT: "this machine has no such addresses (no IPv6?)",
        errno.EACCES: "ports below 1024 need privilege; give the program CAP_NET_BIND_SERVICE, or choose another port",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return f"cannot listen on {endpoint} for {what}: {reason}"
