"""Shapes of values from outside. Standard library, Python 3.6."""

NONE = type(None)
PID, TEXT = range(1, 1 << 31), (str, NONE)


def fits(value, shape):
    """Whether a value from outside is as `shape` says: a type, a range of whole numbers, a dict of shapes, or any of a
    tuple of shapes."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(fits(value.get(key), each) for key, each in shape.items())
    if isinstance(shape, tuple):
        return any(fits(value, each) for each in shape)
    return type(value) is int and value in shape if isinstance(shape, range) else isinstance(value, shape)
