"""Connects streams to the notebook server. Python 3.6."""

import errno
import resource
import socket

MYPY = False
if MYPY:
    from farlab.host.server import Server

SPARE_FILES = 64
"""Open files that connections to the server leave to links, requests and records."""


class ServerConnector(object):
    """Makes connections to the socket of `server`."""

    def __init__(self, server: "Server") -> None:
        self._server = server
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

    def connect(self) -> "socket.socket | None":
        """A socket to the server, or None."""
        self._is_crowded = False
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
