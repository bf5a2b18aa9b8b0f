"""The server as a whole: sockets, zones, metrics and signals, from start to stop.

Owns the order of things: what can fail because of the set-up (sockets, zones) fails before the first answer, and a
stop answers what has arrived. Knows how the parts fit together, and nothing of their work.
"""

import asyncio
import concurrent.futures.thread  # noqa: F401 - asyncio imports it late, when the user may not be able to read it
import errno
import logging
import os
import resource
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack

from dnsbl_server import __version__
from dnsbl_server.answer.snapshot import Identity
from dnsbl_server.config import DEFAULT_LISTEN, DEFAULT_METRICS, Settings
from dnsbl_server.endpoint import Endpoint
from dnsbl_server.engine.binding import BoundSockets, bind_sockets
from dnsbl_server.engine.listener import TcpListener
from dnsbl_server.engine.metrics import QueryCollector
from dnsbl_server.engine.service import Service
from dnsbl_server.engine.tcp import TcpConnections, TcpLimits
from dnsbl_server.engine.udp import UdpThreads
from dnsbl_server.http.metrics import MetricsServer
from dnsbl_server.model.problem import Problems
from dnsbl_server.notify import ServiceManager
from dnsbl_server.privileges import PrivilegeError, become_user
from dnsbl_server.supply.feeds import FeedRunner
from dnsbl_server.supply.limits import default_load_memory
from dnsbl_server.supply.metrics import FeedCollector, ZoneCollector
from dnsbl_server.supply.process import LoaderError, LoaderProcess
from dnsbl_server.supply.reload import Reloader
from dnsbl_server.supply.state import StateError, open_state

log = logging.getLogger(__name__)

# What binding says where an address, or its whole family, is not there.
_MISSING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
# For the metrics, a loader, watches, and what else is open; a zone needs none.
_SPARE_DESCRIPTORS = 256
# Seconds that a stop waits for a load to end, and for the files to be let go.
_LOAD_PATIENCE = 2.5


class StartError(RuntimeError):
    """The server cannot start; the text says why and what to do. problems: of the zones, if it is because of them."""

    def __init__(self, message: str, problems: Problems | None = None) -> None:
        super().__init__(message)
        self.problems = problems


class Server:
    """A server with its settings. `run` serves until `stop` is called."""

    def __init__(self, settings: Settings, on_stop: Callable[[], None] = lambda: None) -> None:
        """on_stop: called when a stop begins, by signal or otherwise."""
        self._settings = settings
        self._on_stop = on_stop
        self._threads = settings.threads or len(os.sched_getaffinity(0))
        self.service = Service(self._threads, Identity(settings.version_text, settings.server_id))
        self.endpoints: list[Endpoint] = []
        self.metrics_endpoint: Endpoint | None = None
        self.reloader: Reloader | None = None
        self.feeds = FeedRunner()
        self.ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._manager = ServiceManager()

    def stop(self) -> None:
        """Make `run` return."""
        if not self._stop.is_set():
            self._on_stop()
        self._stop.set()

    async def run(self) -> None:
        """Serve until stopped. Raises StartError."""
        settings = self._settings
        _allow_descriptors(settings, self._threads)
        with ExitStack() as sockets:
            bound = [each for endpoint in settings.listen if (each := self._bind(endpoint, sockets)) is not None]
            if not bound:
                raise StartError(
                    "this machine has neither an IPv4 nor an IPv6 loopback address; name one with --listen"
                )
            async with AsyncExitStack() as stack:
                await self._serve(bound, sockets, stack)

    async def _serve(self, bound: Sequence[BoundSockets], sockets: ExitStack, stack: AsyncExitStack) -> None:
        settings = self._settings
        loader = LoaderProcess(settings.load_timeout, settings.load_memory or default_load_memory())
        reloader = Reloader(
            settings.zones,
            self.service,
            loader,
            settings.poll_interval,
            on_request=self._notify_reload,
            on_feeds=self.feeds.set_specs,
            files_below=settings.files_below,
        )
        self.reloader = reloader
        stack.push_async_callback(reloader.close)
        self._handle_signals(reloader.request, stack)
        if settings.metrics is not None:
            self._serve_metrics(settings.metrics, reloader, stack)
        udp = self._make_udp(bound, stack)
        # All that needs root is done: the sockets are bound. The zones are read by the user that answers from them.
        try:
            become_user(settings.user)
        except PrivilegeError as error:
            raise StartError(str(error)) from error
        try:
            state = stack.enter_context(open_state(settings.state))
        except StateError as error:
            raise StartError(str(error)) from error
        if not await self._load(reloader, state):
            return
        sockets.pop_all()  # from here on the listeners own them
        self._answer(udp, bound, stack)
        self._report_ready()
        working = [asyncio.create_task(reloader.run()), asyncio.create_task(self.feeds.run(state))]
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((*working, stopping), return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        self._manager.stopping()
        for task in (*working, stopping):
            task.cancel()
        reloader.close_loader()
        for outcome in await asyncio.gather(*working, stopping, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _bind(self, endpoint: Endpoint, sockets: ExitStack) -> BoundSockets | None:
        """The sockets of one endpoint; None for a default one that this machine does not have."""
        try:
            bound = bind_sockets(endpoint, self._threads, self._settings.receive_buffer)
        except OSError as error:
            if error.errno in _MISSING and self._settings.listen == DEFAULT_LISTEN:
                family = "IPv6" if ":" in endpoint.address else "IPv4"
                log.warning("this machine has no %s loopback address; not listening on %s", family, endpoint)
                return None
            raise StartError(_cannot_listen(endpoint, "DNS", error)) from error
        sockets.callback(bound.close)
        self.endpoints.append(bound.endpoint)
        return bound

    def _handle_signals(self, reload: Callable[[], None], stack: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
            # It is stopping by then: one more signal changes nothing, and must not end it halfway.
            stack.callback(signal.signal, number, signal.SIG_IGN)
            stack.callback(loop.remove_signal_handler, number)

    def _serve_metrics(self, endpoint: Endpoint, reloader: Reloader, stack: AsyncExitStack) -> None:
        collectors = (QueryCollector(self.service), ZoneCollector(lambda: reloader.statuses), FeedCollector(self.feeds))
        try:
            metrics = MetricsServer(endpoint, collectors, self.ready.is_set, __version__)
        except OSError as error:
            if error.errno in _MISSING and endpoint == DEFAULT_METRICS:
                other = Endpoint("::1", endpoint.port)
                log.warning("this machine has no IPv4 loopback address; metrics are on %s instead", other)
                self._serve_metrics(other, reloader, stack)
                return
            raise StartError(_cannot_listen(endpoint, "metrics", error)) from error
        stack.callback(metrics.close)
        self.metrics_endpoint = metrics.endpoint

    def _make_udp(self, bound: Sequence[BoundSockets], stack: AsyncExitStack) -> UdpThreads:
        """The threads that will answer UDP, each with one socket of every endpoint."""
        try:
            udp = UdpThreads(
                self.service.engine,
                list(zip(*(each.udp for each in bound), strict=True)),
                lambda packet: self.service.answer_slow_path(packet, "udp"),
                lambda: self.service.count_dropped("udp"),
            )
        except OSError as error:
            raise StartError(f"no room for {self._threads} threads: {error.strerror}; see ulimit -n") from error
        stack.callback(udp.close)
        self.service.receive_drops = udp.receive_drops
        return udp

    async def _load(self, reloader: Reloader, state: str) -> bool:
        """Load the zones for the first time; False where a stop came before they were loaded."""
        log.info("loading zones from %s", ", ".join(self._settings.zones))
        loading = asyncio.create_task(reloader.start(state))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not loading.done():
            reloader.close_loader()
            await asyncio.wait((loading,), timeout=_LOAD_PATIENCE)
            # What hangs in a file system is left to itself.
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            return False
        try:
            problems = loading.result()
        except LoaderError as error:
            raise StartError(str(error)) from error
        if len(problems):
            raise StartError("the zones have errors; nothing is served", problems)
        return True

    def _answer(self, udp: UdpThreads, bound: Sequence[BoundSockets], stack: AsyncExitStack) -> None:
        """Begin to answer over UDP and TCP."""
        limits = TcpLimits(self._settings.tcp_connections, self._settings.tcp_idle_timeout)
        connections = TcpConnections(self.service.answer, limits)
        self.service.tcp_connections = connections.__len__
        try:
            udp.start()
        except RuntimeError as error:
            raise StartError(f"no room for {self._threads} threads: {error}; start fewer with --threads") from error
        for each in bound:
            stack.callback(TcpListener(each.tcp, connections.protocol, connections.give_way).close)
        stack.callback(connections.close)

    def _report_ready(self) -> None:
        for endpoint in self.endpoints:
            log.info("listening on %s (UDP and TCP)", endpoint)
        if self.metrics_endpoint:
            log.info("metrics on http://%s/metrics", self.metrics_endpoint)
        zones = len(self.service.snapshot.zones)
        log.info("ready: dnsbl-server %s serves %d zones with %d threads", __version__, zones, self._threads)
        self._manager.ready(self._status())
        self.ready.set()

    def _notify_reload(self, has_begun: bool) -> None:
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


def _allow_descriptors(settings: Settings, threads: int) -> None:
    """Let the process have the descriptors that its connections and threads can take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.tcp_connections + threads * (len(settings.listen) + 2) + _SPARE_DESCRIPTORS
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("only %d open files are allowed, %d may be needed for connections; see ulimit -n", allowed, wanted)


def _cannot_listen(endpoint: Endpoint, what: str, error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "another program has this port; stop it, or choose another port",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
        errno.EAFNOSUPPORT: "this machine has no such addresses (no IPv6?)",
        errno.EACCES: "ports below 1024 need privilege; give the program CAP_NET_BIND_SERVICE, or choose another port",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return f"cannot listen on {endpoint} for {what}: {reason}"
