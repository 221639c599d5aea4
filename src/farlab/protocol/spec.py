"""`spec.json`: what an agent tells the anchor that it starts. Pure; Python 3.6."""

from farlab.protocol.records import Integer, Nested, Opaque, Path, Record, Required, Text, Texts
from farlab.protocol.session import Name, SessionRecord


class Spec(Record):
    """`spec.json`: what the anchor shall start, or `adopt`; of the agent's own version."""

    name = Required(Name)
    directory = Required(Path())
    """Where the record and the log are."""
    runtime = Required(Path())
    """Where the sockets are."""
    wish = Opaque()
    """What the session shall be: an `options.Options`, which only the anchor reads."""
    adopt = Nested(SessionRecord)
    umask = Integer(0, 0o777, default=0o22)
    """The user's."""
    env = Texts(1 << 20)
    """The agent's environment."""
    launcher = Text(40)
    """What has started the anchor."""
    handle = Texts(20)
    """By which that finds it again."""
    timing = Opaque()
    """A `timing.Timing`, likewise."""
