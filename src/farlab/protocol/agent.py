"""What a laptop and an agent say to one another (`docs/protocol.md`) until the mux begins. Pure; Python 3.6.

A frame is of the kind whose first key it has. Both ends are of one version: the agent travels with the first request.
What an agent can be asked for besides a mux is in `commands`.
"""

from farlab.protocol.records import Boolean, Each, Integer, Nested, Opaque, Record, Required, Text
from farlab.protocol.session import ErrorInfo, Name


class Ensure(Record):
    """The session, found or started; then the link becomes the mux's."""

    op = Text(20)
    name = Required(Name)
    wish = Opaque()
    """What it shall be (`options.Options`): the anchor's to read, as is `timing`."""
    timing = Opaque()
    existing = Boolean()
    """It must be there already."""
    node = Text(255)
    """The node on which the laptop knows it."""
    early = Text(1 << 20)
    """Base64 of what the laptop has to say first on the mux."""


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
    elsewhere = Each(Text(255, cut=True), 20, lenient=True)
    """Other nodes that have a session of this name."""


class Error(Record):
    """The request failed."""

    error = Required(Nested(ErrorInfo, lenient=True))
