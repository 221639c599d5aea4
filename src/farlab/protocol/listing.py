"""What is told of sessions and kernels to those who list them. Pure; Python 3.6."""

from farlab.protocol.records import Boolean, Each, Integer, Nested, Number, Optional, Path, Record, Text
from farlab.protocol.session import MOST_LISTED, MOST_PID, Name


class KernelInfo(Record):
    """A kernel, as the anchor or the server itself tells of it."""

    id = Text(100, cut=True)
    name = Text(100, cut=True)
    state = Text(40, cut=True)
    notebook = Text(1024, cut=True)
    last_activity = Text(40, cut=True)
    private = Optional(Boolean())
    """Whether nobody else on the host can read what it says."""


class SessionSummary(Record):
    """A session in short; texts are empty where nothing is known."""

    state = Text(40, cut=True)
    """`starting`, `up` or `ended`, as its anchor says; an agent knows others (`session_files.Session`)."""
    node = Text(255, cut=True)
    launcher = Text(40, cut=True)
    transport = Text(40, cut=True)
    app = Text(40, cut=True)
    server = Text(200, cut=True)
    directory = Path()
    environment = Path()
    pid = Optional(Integer(0, MOST_PID))
    """The server's."""
    age = Optional(Number(0, 1e10))
    """Seconds for which the server has been running."""


class ListedSession(SessionSummary):
    """A session in a list: what an anchor answers to `status`, and an agent to `list`."""

    name = Name
    reason = Text(500, cut=True)
    """Why it is in that state."""
    kernels = Optional(Each(Nested(KernelInfo, lenient=True), MOST_LISTED, lenient=True))
    """None where the server does not answer."""
