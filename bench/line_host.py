"""The far end of a line without the anchor, packed like it: `python3 PACKED SOCKET VERSION`, on standard streams."""

import os
import socket
import sys

from farlab.remote import codec, frames
from farlab.remote.carrier import Carrier
from farlab.remote.line import Line
from farlab.remote.reactor import Reactor
from farlab.remote.visitors import LINE_LIMIT
from farlab.remote.wire import Wire


def main():
    """Join every stream that the laptop opens to a new connection to the socket."""
    brought, version = b"", int(sys.argv[2])
    while codec.read_hello(brought, version) is None:
        brought += os.read(0, 65536)
    hello, rest = codec.read_hello(brought, version)
    loop = Reactor()
    line = Line(hello["line"], False, LINE_LIMIT)

    def happened(event):
        if event.kind == frames.OPEN:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(sys.argv[1])
            carrier.join(event.stream, sock)
            carrier.pump()

    carrier = Carrier(loop, line, happened, lambda reason: loop.stop())
    carrier.carry(line.accept(hello, version), Wire(0, 1), rest)
    loop.run()


main()
