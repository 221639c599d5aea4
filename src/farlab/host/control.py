"""The anchor's private socket: whoever connects says one line of JSON and gets one back. Python 3.6.

An agent that joins says a second line, with its link's two descriptors beside it (unix(7), SCM_RIGHTS): what came over
the link already. Who says what makes no sense is not answered, and loses the connection.
"""

import array
import base64
import json
import os
import socket

from farlab.mux import frames
from farlab.protocol import peer

MOST_LINE = 8 << 20


def listen(anchor, path):
    """Make the socket, which appears when one can connect to it, and serve it on the anchor's loop."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen(64)
    listener.setblocking(False)
    os.rename(path + ".new", path)
    anchor.loop.add_reader(listener.fileno(), _accept, anchor, listener)


def _accept(anchor, listener):
    try:
        sock = listener.accept()[0]
    except OSError:
        # it would come again at once, for ever, where too many files are open
        anchor.loop.remove_reader(listener.fileno())
        anchor.loop.call_later(0.1, anchor.loop.add_reader, listener.fileno(), _accept, anchor, listener)
        return
    if not (peer.is_same_user(sock) and anchor.loop.call(ControlConnection, anchor, sock)):
        sock.close()


class ControlConnection(object):
    """One connection to the anchor's socket, until it has said what it wants."""

    def __init__(self, anchor, sock):
        self._anchor, self._sock = anchor, sock
        self._said, self._fds = b"", []
        self._mux = 1  # the version of the mux on the link that it may hand over
        sock.setblocking(False)
        anchor.loop.add_reader(sock.fileno(), self._read)

    def _read(self):
        try:
            data, extra = self._receive()
        except BlockingIOError:
            return
        except OSError:
            data, extra = b"", []
        self._said += data
        self._fds += extra
        if not data or len(self._said) > MOST_LINE:
            self.close()
        elif self._said.endswith(b"\n"):
            said, self._said = self._said, b""
            self._obey(said)

    def _receive(self):
        data, extra, _, _ = self._sock.recvmsg(65536, socket.CMSG_SPACE(8))
        fds = array.array("i")
        for level, kind, content in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        return data, list(fds)

    def _obey(self, said):
        if not self._fds:
            words = dict(json.loads(said.decode()))
            self._mux = frames.VERSION if words.get("mux") == frames.VERSION else 1
            self._anchor.answer(words, self)
        elif len(self._fds) == 2:
            brought = base64.b64decode(said)
            self._loose()
            (sock, self._sock), (fds, self._fds) = (self._sock, None), (self._fds, [])  # they are another's now
            self._anchor.link_came(brought, fds, sock, self._mux)
        else:  # no descriptor was free for both of a link's two
            self.close()

    def say(self, **words):
        """Answer; whoever asked reads one line, or has gone."""
        if self._sock is None:
            return
        try:
            self._sock.setblocking(True)
            self._sock.settimeout(1.0)
            self._sock.sendall(json.dumps(words).encode() + b"\n")
            self._sock.setblocking(False)
        except OSError:
            self.close()

    def failed(self):
        """What was said makes no sense."""
        self.close()

    def close(self):
        if self._sock is not None:
            self._loose()
            self._sock.close()
            for fd in self._fds:
                os.close(fd)
            self._sock = None

    def _loose(self):
        self._anchor.loop.remove_reader(self._sock.fileno())
