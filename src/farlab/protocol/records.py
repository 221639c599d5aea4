"""Declared records: what one process says to another, key by key, each with its type and its range. Pure; Python 3.6.

    class Beat(Record):
        stage = Text(40)
        load = Number(0, 1e6)

    Beat.read({"stage": "up", "load": 0.5, "new": 1}).load

Rules: a key that is missing or null has its default; a key that is not declared is ignored, a newer version may say
more; what is there and is not as declared is `Wrong`. Where a message is worth having without what is wrong in it,
`read_leniently` takes that for not said. Whatever was read is finite, sane and short.
"""

MYPY = False
if MYPY:
    from typing import Any, TypeVar

    R = TypeVar("R", bound="Record")


class Wrong(ValueError):
    """What was said is not what was declared."""


class Field(object):
    """One key of a record. Of what is not there, its value is `default`."""

    default = None  # type: Any

    def __get__(self, record: object, owner: type) -> "Any":
        return self.default  # what was read lies in the record's own dictionary, which comes first

    def read(self, value: object) -> object:
        """The value, or `Wrong`."""
        raise NotImplementedError


class Text(Field):
    """A text of at most `most` characters; with `cut`, what is longer ends there."""

    def __init__(self, most: int, default: str = "", cut: bool = False) -> None:
        self._most, self.default, self._cut = most, default, cut

    def __get__(self, record: object, owner: type) -> str:
        return str(self.default)

    def read(self, value: object) -> str:
        if not isinstance(value, str) or (len(value) > self._most and not self._cut):
            raise Wrong("no text of at most %d characters" % self._most)
        return value[: self._most]


class Word(Text):
    """A text of visible ASCII alone, without spaces: safe in a header of HTTP and in an address."""

    def read(self, value: object) -> str:
        text = Text.read(self, value)
        if any(not "!" <= char <= "~" for char in text):
            raise Wrong("no word of ASCII")
        return text


class Path(Text):
    """A text that a system call takes: no NUL, and what stands for bytes that are no UTF-8 can be bytes again."""

    def read(self, value: object) -> str:
        text = Text.read(self, value)
        try:
            is_path = b"\0" not in text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            is_path = False
        if not is_path:
            raise Wrong("no path")
        return text


class Number(Field):
    """A finite number from `least` to `most`."""

    def __init__(self, least: float, most: float, default: float = 0.0) -> None:
        self._least, self._most, self.default = least, most, default

    def __get__(self, record: object, owner: type) -> float:
        return float(self.default)

    def read(self, value: object) -> float:
        if type(value) not in (int, float) or not self._least <= value <= self._most:  # type: ignore[operator]
            raise Wrong("no number from %g to %g" % (self._least, self._most))
        return float(value)  # type: ignore[arg-type]


class Whole(Field):
    """A whole number from `least` to `most`."""

    def __init__(self, least: int, most: int, default: int = 0) -> None:
        self._least, self._most, self.default = least, most, default

    def __get__(self, record: object, owner: type) -> int:
        return int(self.default)

    def read(self, value: object) -> int:
        if type(value) is not int or not self._least <= value <= self._most:
            raise Wrong("no whole number from %d to %d" % (self._least, self._most))
        return value


class MaybeNumber(Number):
    """A number, or None where none was said."""

    default = None

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most

    def __get__(self, record: object, owner: type) -> "float | None":  # type: ignore[override]
        return None


class MaybeWhole(Whole):
    """A whole number, or None where none was said."""

    default = None

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __get__(self, record: object, owner: type) -> "int | None":  # type: ignore[override]
        return None


class Flag(Field):
    """True or false."""

    def __init__(self, default: bool = False) -> None:
        self.default = default

    def __get__(self, record: object, owner: type) -> bool:
        return bool(self.default)

    def read(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise Wrong("neither true nor false")
        return value


class MaybeFlag(Flag):
    """True or false, or None where neither was said."""

    def __init__(self) -> None:
        self.default = None

    def __get__(self, record: object, owner: type) -> "bool | None":  # type: ignore[override]
        return None


class Texts(Field):
    """A list of at most `most` texts, as a tuple; with `cut`, the first of a longer one."""

    default = ()

    def __init__(self, each: Text, most: int, cut: bool = False) -> None:
        self._each, self._most, self._cut = each, most, cut

    def __get__(self, record: object, owner: type) -> "tuple[str, ...]":
        return ()

    def read(self, value: object) -> "tuple[str, ...]":
        if not isinstance(value, (list, tuple)) or (len(value) > self._most and not self._cut):
            raise Wrong("no list of at most %d" % self._most)
        return tuple([self._each.read(each) for each in value[: self._most]])


class Record(object):
    """The base of all records. Two are equal where all their values are."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)

    @classmethod
    def fields(cls) -> "dict[str, Field]":
        """Every key that is declared."""
        return {key: field for each in reversed(cls.__mro__) for key, field in vars(each).items() if _is_field(field)}

    @classmethod
    def read(cls: "type[R]", said: object) -> "R":
        """The record that an object of JSON is. Raises `Wrong`."""
        if not isinstance(said, dict):
            raise Wrong("no object")
        record = cls()
        for key, field in cls.fields().items():
            if said.get(key) is not None:
                try:
                    record.__dict__[key] = field.read(said[key])
                except Wrong as wrong:
                    raise Wrong("`%s` is %s" % (key, wrong)) from None
        return record

    @classmethod
    def read_leniently(cls: "type[R]", said: object) -> "R":
        """The same, where what is wrong counts as not said. Raises nothing."""
        record, said = cls(), said if isinstance(said, dict) else {}
        for key, field in cls.fields().items():
            try:
                record.__dict__.update({key: field.read(said[key])} if said.get(key) is not None else {})
            except Wrong:
                continue
        return record

    def values(self) -> "dict[str, Any]":
        """Every key with its value: what another process is told."""
        return {key: getattr(self, key) for key in self.fields()}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.values() == other.values()

    __hash__ = None  # type: ignore[assignment]


def _is_field(value: object) -> bool:
    return isinstance(value, Field)
