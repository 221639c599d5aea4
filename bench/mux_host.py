"""The far end of a mux without the anchor, packed like it: `python3 PACKED SOCKET VERSION`, on standard streams."""

import os
import socket
import sys

from farlab.host.client import BUFFER_LIMIT
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
    mux = Mux(hello["line"], False, BUFFER_LIMIT)

    def happened(event):
        if event.kind == frames.OPEN:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(sys.argv[1])
            driver.connect_socket(event.stream, sock)
            driver.pump()

    driver = MuxDriver(loop, mux, happened, lambda reason: loop.stop())
    driver.attach_link(mux.accept(hello, version), LinkPipes(0, 1), rest)
    loop.run()


main()
