"""What a machine remembers of a session, in a file of its own: `saved.SavedSession`. Pure; Python 3.6."""

from farlab.protocol.records import Boolean, Integer, Optional, Path, Record, Required, Text, VisibleAscii
from farlab.protocol.session import Name


class SavedSession(Record):
    """The host, the port that it had, and whether it was alive when last seen."""

    host = Required(Text(4096))
    name = Required(Name)
    ssh_config = Optional(Path())
    port = Required(Integer(1, 65535))
    is_known_alive = Boolean()
    laptop = Optional(Text(100))
    node = Text(255)
    directory = Path()
    app = Text(32)
    base_url = VisibleAscii(1024)
    connected_in = Text(200)
