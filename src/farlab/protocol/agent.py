"""What a laptop asks of an agent, and what the agent answers, frame by frame (`docs/protocol.md`). Pure; Python 3.6.

A frame is of the kind whose first key it has. Both ends are of one version: the agent travels with the first request.
"""

from farlab.protocol.records import Boolean, Each, Integer, Nested, Opaque, Optional, Record, Required, Text
from farlab.protocol.session import MOST_LISTED, MOST_PID, ErrorInfo, KernelInfo, ListedSession, Name


class Ensure(Record):
    """The session, found or started; then the link becomes the mux's."""

    op = Text(20)
    name = Required(Name)
    wish = Opaque()
    """What it shall be (`options.Options`): the anchor's to read."""
    existing = Boolean()
    """It must be there already."""
    early = Text(1 << 20)
    """Base64 of what the laptop has to say first on the mux."""


class Stop(Record):
    """The end of the session."""

    op = Text(20)
    name = Required(Name)
    yes = Boolean()
    """Busy kernels end, too; said once more in answer to `Confirm`."""
    asks = Boolean()
    """Somebody can be asked about idle kernels, and where nobody can tell."""


class ListSessions(Record):
    """What is known of all sessions, and servers that farlab did not start."""

    op = Text(20)


class Logs(Record):
    """The last lines of the server's log, and with `follow` what is added."""

    op = Text(20)
    name = Required(Name)
    lines = Integer(0, 1 << 62)
    follow = Boolean()


class Progress(Record):
    """What the agent waits for."""

    progress = Text(40, cut=True)
    text = Text(200, cut=True)


class Need(Record):
    """A further request: `bundle` for the anchor's program, `request` where the last one was lost."""

    need = Text(40)


class Joined(Record):
    """What follows is the mux's, in its version `mux`."""

    joined = Boolean()
    reused = Boolean()
    mux = Integer(1, 1000, default=1)


class Error(Record):
    """The request failed."""

    error = Required(Nested(ErrorInfo, lenient=True))


class JupyterFile(Record):
    """What a Jupyter server, whoever started it, writes into its runtime directory (`jpserver-PID.json`)."""

    pid = Required(Integer(1, MOST_PID))
    root_dir = Text(4096, cut=True)
    notebook_dir = Text(4096, cut=True)
    """The same, in servers before 1.0."""
    port = Optional(Integer(0, 65535))
    version = Text(40, cut=True)


class ForeignServer(Record):
    """A Jupyter server that farlab did not start."""

    directory = Text(4096, cut=True)
    server = Text(40, cut=True)
    """Its version."""
    pid = Optional(Integer(0, MOST_PID))
    port = Optional(Integer(0, 65535))


class Sessions(Record):
    """The answer to `list`."""

    sessions = Each(Nested(ListedSession, lenient=True), MOST_LISTED, lenient=True)
    foreign = Each(Nested(ForeignServer, lenient=True), MOST_LISTED, lenient=True)


class Confirm(Record):
    """Whether these kernels may end; None where nobody can tell which there are."""

    confirm = Optional(Each(Nested(KernelInfo, lenient=True), MOST_LISTED, lenient=True))


class Stopped(Record):
    """The session has ended, with so many kernels."""

    stopped = Boolean()
    kernels = Integer(0, 1 << 20)


class Lines(Record):
    """Lines of a log."""

    lines = Each(Text(1 << 62), 1 << 62, lenient=True)


class Done(Record):
    """The log is told."""

    done = Boolean()
