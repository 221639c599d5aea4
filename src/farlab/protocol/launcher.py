"""What the launcher says on the anchor's socket, on its way from the login shell to the server, and the server: one
request and one answer a connection. Pure; Python 3.6.

The server of an anchor that was lost may be of an older farlab.
"""

from farlab.protocol.anchor import Request
from farlab.protocol.options import Options
from farlab.protocol.records import Each, Integer, Nested, Optional, Path, Record, Required, Text
from farlab.protocol.session import MOST_PID


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
    chosen = Path()
    """The environment, where neither the user nor their shell has named it."""
    batch = Text(40)
    """The batch system on whose login node this is."""


class Serving(Request):
    """The server is about to listen, below `base_url`; the class `doorkeeper`, which a `setting` names, lets in."""

    base_url = Required(Text(1024))
    setting = Required(Text(1000))
    doorkeeper = Required(Text(1000))
    root = Path()
    """The directory with which its files begin."""
    named_home = Path()
    """The home as the user names it; `InShell` has where that leads."""


class OpenKernel(Request):
    """A kernel of that kind runs, and others on the host could read it."""

    name = Required(Text(1000))


class Fail(Request):
    """The server cannot be had; without `detail` its log tells more."""

    code = Required(Text(40))
    message = Required(Text(1 << 16))
    detail = Optional(Text(1 << 20))
    hint = Optional(Text(500))
    names = Each(Text(200), 20, lenient=True)


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


class Wanted(Record):
    """The answer to the launcher: what is wanted; the server's `token`, and the directory of the session's files."""

    wish = Required(Nested(Options))
    token = Text(1024)
    session = Path()
