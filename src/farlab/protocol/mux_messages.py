"""What keeper and anchor say to one another in MESSAGE frames (`docs/protocol.md`). Pure; Python 3.6.

Either may be older than the other.
"""

from farlab.protocol.listing import SessionSummary
from farlab.protocol.records import Boolean, Each, Integer, Nested, Number, Path, Record, Required, Text, VisibleAscii
from farlab.protocol.session import MOST_LISTED, ErrorInfo

LOG = "log"
"""The destination of a stream, followed by how many lines and maybe `follow`: the server's log."""
LOG_GREETING = b"log\n"
"""What that stream begins with: an older anchor closes it instead."""
_MOST_SECONDS = 1e9


class SessionInfo(SessionSummary):
    """A session as its anchor describes it; texts are empty where it has not."""

    stage = Text(200, cut=True)
    """What a server that starts waits for."""
    base_url = VisibleAscii(1024)
    token = VisibleAscii(1024)
    home = Path()
    root = Path()
    """The directory with which the server's files begin; an older farlab does not say."""
    named_home = Path()
    """The home as the user names it, if a link."""
    asked = Path()
    """The directory as the user named it."""
    answers = Boolean(default=True)
    """Whether the server did when the anchor asked it last."""
    keep_output = Boolean()
    which_kernels = Text(40)
    """Those that may run (`model.Kernels`)."""
    chosen = Path()
    """The environment that it runs in, where neither the user nor their shell has named it."""
    batch = Text(40, cut=True)
    """The batch system on whose login node it runs."""
    open_kernels = Each(Text(100, cut=True), 20, lenient=True)
    """Kinds of kernels that have run here and that others on the host could read."""
    names = Each(VisibleAscii(32), MOST_LISTED, lenient=True)
    """Of the user's sessions that this host knows."""
    error = Nested(ErrorInfo, lenient=True)
    """How it ended."""


class Full(Record):
    """When there was no room last: how many seconds ago that began, and `for` how many."""

    ago = Number(0, _MOST_SECONDS)


setattr(Full, "for", Number(0, _MOST_SECONDS))


class BufferInfo(Record):
    """What the anchor keeps for this laptop."""

    limit = Integer(0, (1 << 63) - 1)
    """Bytes; 0: it does not say."""
    seconds = Number(0, 1e12)
    """For how long without a link."""
    full = Nested(Full)


class SessionMessage(Record):
    """The anchor's: what the session is now; after each HELLO and each change."""

    session = Required(Nested(SessionInfo))
    line = Nested(BufferInfo)


class Keep(Record):
    """How much the host shall keep for this laptop, and for how many seconds."""

    bytes = Integer(0, (1 << 63) - 1)
    seconds = Number(0, 1e10)


class KeeperMessage(Record):
    """The keeper's."""

    keep = Nested(Keep, lenient=True)
    laptop = Text(1000)
    """Which laptop it serves: muxes that an earlier keeper of it left are given up."""
    bye = Boolean()
    """It ends, and its mux with it."""
    stop = Boolean()
    """The session shall end."""
    cancel = Boolean()
    """The first connect was interrupted: the session shall end if it is still starting and nobody else waits for it."""
