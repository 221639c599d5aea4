"""What a laptop asks of an agent besides a mux, and what the agent answers, frame by frame. Pure; Python 3.6."""

from farlab.protocol.listing import KernelInfo, ListedSession
from farlab.protocol.records import Boolean, Each, Integer, Nested, Optional, Path, Record, Required, Text, VisibleAscii
from farlab.protocol.session import MOST_LISTED, MOST_PID, Name


class Stop(Record):
    """The end of the session."""

    op = Text(20)
    name = Required(Name)
    node = Text(255)
    """The node on which the laptop knows it."""
    yes = Boolean()
    """Busy kernels end, too; said once more in answer to `Confirm`."""
    asks = Boolean()
    """Somebody can be asked about idle kernels, and where nobody can tell."""


class ListSessions(Record):
    """What is known of all sessions, and servers that farlab did not start."""

    op = Text(20)


class ListEnvironments(Record):
    """The environments that could run a notebook."""

    op = Text(20)
    directory = Optional(Path())
    """That the session would be in."""


class EnvironmentInfo(Record):
    """One of them, as far as its files tell."""

    name = Text(200, cut=True)
    path = Path()
    kind = Text(40)
    python = Text(40, cut=True)
    """Its version."""
    jupyter = Text(200, cut=True)
    """What would run there, with its version."""
    kernels = Each(Text(100, cut=True), 20, lenient=True)
    is_used = Boolean()
    """Whether `connect` without `--env` would use it."""
    why = Text(500, cut=True)


class Environments(Record):
    """The answer to `envs`; `why` none would be used."""

    environments = Each(Nested(EnvironmentInfo, lenient=True), MOST_LISTED, lenient=True)
    why = Text(500, cut=True)


class Logs(Record):
    """The last lines of the server's log, and with `follow` what is added."""

    op = Text(20)
    name = Required(Name)
    node = Text(255)
    lines = Integer(0, 1 << 62)
    follow = Boolean()


class JupyterFile(Record):
    """What any Jupyter server writes into its runtime directory (`jpserver-PID.json`)."""

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
    """The session has ended, with so many kernels; or it `had_ended`; or there is none, and `names` run instead."""

    stopped = Boolean()
    kernels = Integer(0, 1 << 20)
    had_ended = Boolean()
    names = Each(VisibleAscii(32), MOST_LISTED, lenient=True)


class Lines(Record):
    """Lines of a log."""

    lines = Each(Text(1 << 62), 1 << 62, lenient=True)


class Done(Record):
    """The log is told."""

    done = Boolean()
