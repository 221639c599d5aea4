"""What is said to a keeper over its private socket, request by request. Pure.

Rule: whoever may speak there is this very user, and may still be a script, or a farlab of another version: what is not
as declared is refused, and nothing of it is done.
"""

from __future__ import annotations

from typing import Any

from ..errors import Usage
from ..model import MAX_HOURS, MAX_SECONDS, MAX_SIZE, MIN_SIZE, Question, QuestionKind
from ..protocol.records import Flag, MaybeNumber, MaybeWhole, Path, Record, Text, Texts, Whole, Wrong

_MOST_PATH = 4096


class Wished(Record):
    """What a session shall be (`model.SessionOptions`)."""

    directory = Path(_MOST_PATH)
    environment = Path(_MOST_PATH)
    setup = Texts(Path(1 << 16), 1000)
    app = Text(40)
    notebook = Path(_MOST_PATH)
    port = MaybeWhole(1, 65535)
    timeout = MaybeNumber(0, MAX_SECONDS)
    kernels = Text(40)
    keep_output = Flag()
    keep_host = MaybeWhole(MIN_SIZE, MAX_SIZE)
    keep_laptop = MaybeWhole(MIN_SIZE, MAX_SIZE)
    keep_hours = MaybeNumber(0, MAX_HOURS)


class Unlocked(Record):
    """The variables of `transport.base.CREDENTIALS`."""

    SSH_AUTH_SOCK = Path(_MOST_PATH)
    KRB5CCNAME = Path(_MOST_PATH)


class Connect(Record):
    """A person wants the session; beside it a wish, and what unlocks their keys."""

    may_ask = Flag()


class Status(Record):
    """Somebody wants to know how the session is."""

    kernels = Flag()


class Asked(Record):
    """`ssh` asks something, through askpass."""

    prompt = Text(1 << 16, cut=True)
    kind = Text(20, default="secret")

    @property
    def question(self) -> Question:
        """It, for a person; what is of no known kind is hidden as it is typed."""
        is_known = self.kind in list(QuestionKind)
        return Question(prompt=self.prompt, kind=QuestionKind(self.kind) if is_known else QuestionKind.SECRET)


class Answer(Record):
    """A person's answer to the question of that number."""

    id = Whole(0, 1 << 62)
    answer = Text(1 << 16)


def wish(said: object) -> dict[str, Any]:
    """A wish as it was said, its declared keys alone. Raises `Wrong`."""
    Wished.read(said)
    return {key: said.get(key) for key in Wished.fields()} if isinstance(said, dict) else {}


def refusal(wrong: Wrong) -> Usage:
    """The error for a request that is not as declared."""
    return Usage(f"the keeper rejected the request: {wrong}", hint="")
