"""What is said of a session in more than one place: its processes, its kernels, how it is and why it is no more.
Pure; Python 3.6."""

from farlab.protocol.records import (
    Boolean,
    Each,
    Integer,
    Nested,
    Optional,
    Path,
    Record,
    Required,
    Text,
    Texts,
    VisibleAscii,
)

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
    names = Each(Text(200), 20, lenient=True)
    """What the hint is about."""


class ServerInfo(Record):
    """The notebook server, as it came to be on its way here."""

    app = Text(40)
    server = Text(200, cut=True)
    """Its name and version."""
    python = Path()
    directory = Path()
    home = Path()
    root = Path()
    named_home = Path()
    base_url = VisibleAscii(1024)
    """Empty until it has answered."""
    keep_output = Boolean()
    which_kernels = Text(40)
    """Those that may run (`model.Kernels`)."""
    chosen = Path()
    """The environment that it runs in, where neither the user nor their shell has named it."""
    batch = Text(40, cut=True)
    """The batch system on whose login node it runs."""
    open_kernels = Each(Text(100, cut=True), 20, lenient=True)
    """Kinds of kernels that have run here and that others on the host could read."""


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
    handle = Optional(Texts(20))
    """By which the launcher finds again what it has started; an older farlab's record has none."""
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
