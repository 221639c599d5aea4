"""What is said of a session in more than one place: its processes, its kernels, how it is and why it is no more.
Pure; Python 3.6."""

from farlab.protocol.records import Boolean, Each, Integer, Nested, Optional, Path, Record, Required, Text, VisibleAscii

MOST_LISTED = 1000
"""Sessions, servers or kernels in one list; what is beyond is left out."""
MOST_PID = (1 << 31) - 1
Name = Text(32)
"""A session's."""


class Process(Record):
    """One process, told from all that have its number later by when it started (`processes.start_time`)."""

    pid = Optional(Integer(1, MOST_PID))
    start = Optional(Text(100))


class LockOwner(Process):
    """The agent that holds a session's lock, in the file that is the lock."""

    node = Required(Text(255))
    boot = Required(Text(100))
    pid = Required(Integer(1, MOST_PID))


class ErrorInfo(Record):
    """An error of the host's: its `code` is a slug of `errors`."""

    code = Text(40)
    message = Text(500, default="failed", cut=True)
    detail = Text(16384, cut=True)
    hint = Text(500, cut=True)


class KernelInfo(Record):
    """A kernel, as the anchor or the server itself tells of it."""

    id = Text(100, cut=True)
    name = Text(100, cut=True)
    state = Text(40, cut=True)
    notebook = Text(1024, cut=True)
    last_activity = Text(40, cut=True)
    private = Optional(Boolean())
    """Whether nobody else on the host can read what it says."""


class ServerInfo(Record):
    """The notebook server, as it came to be on its way here."""

    app = Text(40)
    server = Text(200, cut=True)
    """Its name and version."""
    python = Path()
    directory = Path()
    home = Path()
    base_url = VisibleAscii(1024)
    """Empty until it has answered."""
    keep_output = Boolean()
    which_kernels = Text(40)
    """Those that may run (`model.Kernels`)."""
    open_kernels = Each(Text(100, cut=True), 20, lenient=True)
    """Kinds of kernels that have run here and that others on the host could read."""


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


class ListedSession(SessionSummary):
    """A session in a list: what an anchor answers to `status`, and an agent to `list`."""

    name = Name
    reason = Text(500, cut=True)
    """Why it is in that state."""
    kernels = Optional(Each(Nested(KernelInfo, lenient=True), MOST_LISTED, lenient=True))
    """None where the server does not answer."""


class SessionRecord(Record):
    """`record.json` of a session that was not ended: what its next anchor, or an agent, has to know."""

    name = Name
    node = Required(Text(255))
    boot = Required(Text(100))
    runtime = Required(Path())
    anchor = Required(Nested(Process))
    server = Nested(Process)
    told = Nested(ServerInfo, lenient=True)
    token = VisibleAscii(1024)
    launcher = Text(40)
    transport = Text(40)
    environment = Path()
    asked = Path()
    """The directory as the user named it."""


class EndedRecord(Record):
    """`record.json` of a session whose server has ended by itself."""

    name = Name
    node = Required(Text(255))
    launcher = Text(40)
    ended = Required(Nested(ErrorInfo, lenient=True))
