"""Connects streams to the notebook server, and to its log. Python 3.6."""

import errno
import resource
import socket

from farlab.host.log_stream import LogStream
from farlab.host.log_tail import LogTail
from farlab.protocol.mux_messages import LOG

MYPY = False
if MYPY:
    from farlab.host.reactor import Reactor
    from farlab.host.server import Server

SPARE_FILES = 64
"""Open files that connections to the server leave to links, requests and records."""


class ServerConnector(object):
    """Makes connections to the socket of `server`, whose log is at `log_path`."""

    def __init__(self, loop: "Reactor", server: "Server", log_path: str) -> None:
        self._loop, self._server, self._log_path = loop, server, log_path
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._max_files = limit - min(SPARE_FILES, limit // 2)
        self._is_crowded = False

    @property
    def is_server_starting(self) -> bool:
        """Whether the server is not up yet."""
        return self._server.state == "starting"

    @property
    def may_succeed_later(self) -> bool:
        """Whether to try again: the server starts, or too many connections are open."""
        return self.is_server_starting or self._is_crowded

    def connect(self, destination: str) -> "socket.socket | None":
        """A socket to the server, or to what else is named; or None."""
        self._is_crowded = False
        name, _, words = destination.partition(" ")
        if name == LOG:
            return self._log(words.split())
        return self._connect() if destination == "" else None

    def _log(self, words: "list[str]") -> "socket.socket | None":
        try:
            lines, is_followed = int(words[0]), "follow" in words
            stream = LogStream(self._loop, LogTail(self._log_path, lines), is_followed)
        except (OSError, ValueError, IndexError):  # no log, or no descriptor is left
            return None
        if stream.sock.fileno() >= self._max_files:
            stream.sock.close()
            return None
        return stream.sock

    def _connect(self) -> "socket.socket | None":
        if self._server.state != "up":
            return None
        sock = None
        try:
            sock = socket.socket(socket.AF_UNIX)
            if sock.fileno() >= self._max_files:
                raise OSError(errno.EMFILE, "the rest is for links")
            sock.setblocking(False)
            sock.connect(self._server.socket_path())
        except OSError as error:
            self._is_crowded = error.errno in (errno.EAGAIN, errno.EMFILE, errno.ENFILE)
            if sock is not None:
                sock.close()
            return None
        return sock
