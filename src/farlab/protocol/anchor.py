"""What is said on a session's anchor: by the agent that starts it (`spec.json`), and on its socket, one request and one
answer a connection. Pure; Python 3.6.

Whoever asks may be of another version: an older agent, or the server of an anchor that was lost.
"""

from farlab.protocol.options import Options
from farlab.protocol.records import Boolean, Each, Integer, Nested, Optional, Path, Record, Required, Text
from farlab.protocol.session import MOST_PID, Name, SessionRecord
from farlab.protocol.timing import Timing


class Spec(Record):
    """`spec.json`: what the anchor shall start, or `adopt`; of the agent's own version."""

    name = Required(Name)
    directory = Required(Path())
    """Where the record and the log are."""
    runtime = Required(Path())
    """Where the sockets are."""
    wish = Required(Nested(Options))
    adopt = Nested(SessionRecord)
    umask = Integer(0, 0o777, default=0o22)
    """The user's."""
    env = Each(Text(1 << 20), 1 << 20)
    """The agent's environment, `NAME=VALUE` each."""
    timing = Nested(Timing, lenient=True)


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


class Wish(Request):
    """The launcher asks what is wanted."""


class SettingUp(Request):
    """The login shell has come to the user's `--setup` lines."""


class InShell(Request):
    """The launcher runs as that process, in the user's login shell, and looks for a Python."""

    pid = Required(Integer(1, MOST_PID))
    home = Required(Path())


class Installing(Request):
    """The launcher installs what `--keep-output` wants."""


class InPython(Request):
    """The launcher has become the chosen Python, and is to be the server."""

    app = Required(Text(40))
    server = Required(Text(200, cut=True))
    python = Required(Path())
    directory = Required(Path())


class Serving(Request):
    """The server is about to listen, below `base_url`; the class `doorkeeper`, which a `setting` names, lets in."""

    base_url = Required(Text(1024))
    setting = Required(Text(1000))
    doorkeeper = Required(Text(1000))


class OpenKernel(Request):
    """A kernel of that kind runs, and others on the host could read it."""

    name = Required(Text(1000))


class Fail(Request):
    """The server cannot be had; without `detail` its log tells more."""

    code = Required(Text(40))
    message = Required(Text(1 << 16))
    detail = Optional(Text(1 << 20))
    hint = Optional(Text(500))


STEPS = {
    "setting_up": SettingUp,
    "in_shell": InShell,
    "installing": Installing,
    "in_python": InPython,
    "serving": Serving,
    "open_kernel": OpenKernel,
    "fail": Fail,
}
"""What the launcher says of the server on its way to become it."""
REQUESTS = dict(STEPS, join=Join, status=Status, stop=Stop, wish=Wish)


class Wanted(Record):
    """The answer to the launcher: what is wanted; the server's `token`, and the directory of the session's files."""

    wish = Required(Nested(Options))
    token = Text(1024)
    session = Path()


class Joining(Record):
    """The answer to `Join`: the version of the mux that is spoken here. The link comes with the next line."""

    mux = Integer(1, 1000, default=1)


class Stopped(Record):
    """The answer to `Stop`, when nothing is left."""

    stopped = Boolean()
