"""Declared records: what one process says to another, key by key, each with its type and its range. Pure; Python 3.6.

    class Progress(Record):
        text = Required(Text(200))
        load = Optional(Number(0, 1e6))

    Progress.read({"text": "starting", "load": 0.5, "new": 1}).load

Rules: a key that is missing or null has its default, unless it is required; a key that is not declared is ignored, a
newer version may say more; whatever else is not as declared is an InvalidMessage. Where a message is worth having
without what is wrong in it, `read_leniently` takes that for missing. What was read is finite, sane and short.

To mypy a field is its value: `Text(40)` is a `str`, in the class and in each record.
"""

MYPY = False
if MYPY:
    from typing import Any, Callable, TypeVar

    T = TypeVar("T")
    R = TypeVar("R", bound="Record")


class InvalidMessage(ValueError):
    """A message is not as it is declared."""


class Field(object):
    """One key of a record: `read` returns its value or raises InvalidMessage; `default` is what a missing one has."""

    def __init__(self, read: "Callable[[Any], object]", default: object, is_required: bool = False) -> None:
        self.read, self.default, self.is_required = read, default, is_required

    def __get__(self, record: object, owner: "type") -> object:
        return self.default  # what was said is in the record's own dictionary, which comes first


def _field(read: "Callable[[Any], T]", default: "T") -> "T":
    return Field(read, default)  # type: ignore[return-value]


def Text(most: int, default: str = "", cut: bool = False) -> str:
    """A text of at most `most` characters; with `cut`, a longer one ends there."""

    def read(value: "Any") -> str:
        if not isinstance(value, str) or (len(value) > most and not cut):
            raise InvalidMessage("no text of at most %d characters" % most)
        return value[:most]

    return _field(read, default)


def checked(field: "T", holds: "Callable[[T], bool]", what: str) -> "T":
    """That field, for values of which `holds` is true."""
    inner = field  # type: Any

    def read(value: "Any") -> "T":
        found = inner.read(value)  # type: T
        if not holds(found):
            raise InvalidMessage(what)
        return found

    return _field(read, inner.default)  # type: ignore[no-any-return]


def VisibleAscii(most: int) -> str:
    """A text of visible ASCII alone, without spaces: safe in a header of HTTP and in an address."""
    return checked(Text(most), lambda text: all("!" <= char <= "~" for char in text), "no visible ASCII alone")


def is_path(text: str) -> bool:
    """Whether a system call takes it."""
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def Path(most: int = 4096) -> str:
    """A text that a system call takes: no NUL, and what stands for bytes that are no UTF-8 can be bytes again."""
    return checked(Text(most), is_path, "no path")


def Number(least: float, most: float, default: float = 0.0) -> float:
    """A finite number from `least` to `most`."""

    def read(value: "Any") -> float:
        if type(value) not in (int, float) or not least <= value <= most:
            raise InvalidMessage("no number from %g to %g" % (least, most))
        return float(value)

    return _field(read, default)


def Integer(least: int, most: int, default: int = 0) -> int:
    """A whole number from `least` to `most`."""

    def read(value: "Any") -> int:
        if type(value) is not int or not least <= value <= most:
            raise InvalidMessage("no whole number from %d to %d" % (least, most))
        return int(value)

    return _field(read, default)


def Boolean(default: bool = False) -> bool:
    """True or false."""

    def read(value: "Any") -> bool:
        if not isinstance(value, bool):
            raise InvalidMessage("neither true nor false")
        return value

    return _field(read, default)


def Nested(record: "type[R]", lenient: bool = False) -> "R | None":
    """A record in a record; `lenient`: without what is wrong in it."""

    def read(value: "Any") -> "R | None":
        return record.read(value, lenient)

    return _field(read, None)


def Each(field: "T", most: int, lenient: bool = False) -> "tuple[T, ...]":
    """A list of at most `most` values, as a tuple; `lenient`: the first of more, without those that are wrong."""
    inner = field  # type: Any

    def read(value: "Any") -> "tuple[T, ...]":
        if not isinstance(value, (list, tuple)) or (len(value) > most and not lenient):
            raise InvalidMessage("no list of at most %d" % most)
        found = []
        for each in value[:most]:
            try:
                found.append(inner.read(each))
            except InvalidMessage:
                if not lenient:
                    raise
        return tuple(found)

    return _field(read, ())


def Texts(most: int) -> "dict[str, str]":
    """An object of at most `most` keys, each a text."""

    def read(value: "Any") -> "dict[str, str]":
        if isinstance(value, dict) and len(value) <= most and all(isinstance(each, str) for each in value.values()):
            return value
        raise InvalidMessage("no object of at most %d texts" % most)

    return _field(read, {})


def Opaque() -> "Any":
    """What is passed on to somebody else as it came."""
    return _field(lambda value: value, None)


def Optional(field: "T") -> "T | None":
    """The same, or None where it is missing."""
    inner = field  # type: Any
    return _field(inner.read, None)  # type: ignore[no-any-return]


def Required(field: "T | None") -> "T":
    """The same, which must not be missing."""
    inner = field  # type: Any
    return Field(inner.read, inner.default, True)  # type: ignore[return-value]


class Record(object):
    """The base of all records. `vars` of one is what was said: JSON's encoder takes it by `default=vars`.

    Two are equal where all their values are.
    """

    def __init__(self, **values: object) -> None:
        unknown = set(values).difference(self.fields())
        if unknown:
            raise TypeError("%s does not declare %s" % (type(self).__name__, ", ".join(unknown)))
        self.__dict__.update(values)

    @classmethod
    def fields(cls) -> "dict[str, Field]":
        """Every key that is declared."""
        found = {}
        for each in reversed(cls.__mro__):
            found.update({key: field for key, field in vars(each).items() if isinstance(field, Field)})
        return found

    @classmethod
    def read(cls: "type[R]", message: object, lenient: bool = False) -> "R":
        """The record that an object of JSON is. Raises InvalidMessage; where `lenient`, for what is required alone."""
        if not isinstance(message, dict):
            raise InvalidMessage("no object")
        record = cls()
        for key, field in cls.fields().items():
            try:
                if message.get(key) is not None:
                    record.__dict__[key] = field.read(message[key])
                elif field.is_required:
                    raise InvalidMessage("missing")
            except InvalidMessage as error:
                if field.is_required or not lenient:
                    raise InvalidMessage("`%s` is %s" % (key, error)) from None
        return record

    @classmethod
    def read_leniently(cls: "type[R]", message: object) -> "R":
        """The same, where what is wrong counts as missing; what is no object at all is an empty one."""
        return cls.read(message if isinstance(message, dict) else {}, True)

    def values(self) -> "dict[str, Any]":
        """Every declared key with its value."""
        return {key: getattr(self, key) for key in self.fields()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and type(other) is type(self) and self.values() == other.values()

    __hash__ = None  # type: ignore[assignment]
