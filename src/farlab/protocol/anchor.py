"""What an agent says on the anchor's socket, one request and one answer a connection. Pure; Python 3.6.

Either may be older than the other. An answer to `Status` is a `session.ListedSession`.
"""

from farlab.protocol.records import Boolean, Integer, Record, Text


class Request(Record):
    """One request on the socket: `op` says which (`REQUESTS`)."""

    op = Text(40)


class Join(Request):
    """An agent is about to hand over its link, on which it can speak that version of the mux."""

    mux = Integer(1, 1000, default=1)


class Status(Request):
    """How the session is; `session.ListedSession` answers."""


class Stop(Request):
    """The session shall end."""


class Joining(Record):
    """The answer to `Join`: the version of the mux that is spoken here. The link comes with the next line."""

    mux = Integer(1, 1000, default=1)


class Stopped(Record):
    """The answer to `Stop`, when nothing is left."""

    stopped = Boolean()
