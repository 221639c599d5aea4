"""The far end of a line without the anchor, packed like it: `python3 PACKED SOCKET VERSION`, on standard streams."""

import os
import socket
import sys

from farlab.host.clients import LINE_LIMIT
from farlab.host.reactor import Reactor
from farlab.mux import codec, frames
from farlab.mux.driver import MuxDriver
from farlab.mux.mux import Mux
from farlab.mux.pipes import LinkPipes


def main():
    """Join every stream that the laptop opens to a new connection to the socket."""
    brought, version = b"", int(sys.argv[2])
    while codec.read_hello(brought, version) is None:
        brought += os.read(0, 65536)
    hello, rest = codec.read_hello(brought, version)
    loop = Reactor()
    line = Mux(hello["line"], False, LINE_LIMIT)

    def happened(event):
        if event.kind == frames.OPEN:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(sys.argv[1])
            carrier.join(event.stream, sock)
            carrier.pump()

    carrier = MuxDriver(loop, line, happened, lambda reason: loop.stop())
    carrier.carry(line.accept(hello, version), LinkPipes(0, 1), rest)
    loop.run()


main()
