"""What a user wants a session to be: `model.SessionOptions` on its way from the command line to the host. Pure;
Python 3.6."""

from farlab.protocol.records import Boolean, Each, Integer, Number, Optional, Path, Record, Text

MIN_SIZE, MAX_SIZE = 1 << 20, 1 << 62
"""Bytes."""
MAX_SECONDS, MAX_HOURS = 1e9, 1e6


class Options(Record):
    """None, or empty, where nothing is wanted in particular."""

    directory = Optional(Path())
    environment = Optional(Path())
    setup = Each(Path(1 << 16), 1000)
    app = Optional(Text(40))
    notebook = Optional(Path())
    port = Optional(Integer(1, 65535))
    timeout = Optional(Number(0, MAX_SECONDS))
    kernels = Optional(Text(40))
    keep_output = Boolean()
    keep_host = Optional(Integer(MIN_SIZE, MAX_SIZE))
    keep_laptop = Optional(Integer(MIN_SIZE, MAX_SIZE))
    keep_hours = Optional(Number(0, MAX_HOURS))
