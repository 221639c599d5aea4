"""What is said to a keeper over its private socket, as values of its own. Pure."""

from __future__ import annotations

from typing import Any

from ..errors import Usage
from ..model import Question, QuestionKind
from ..protocol import control
from ..protocol.askpass import Ask
from ..protocol.control import Answer as Answer
from ..protocol.control import AskLogs as AskLogs
from ..protocol.control import AskStatus as AskStatus
from ..protocol.control import Connect as Connect
from ..protocol.options import Options as Wished
from ..protocol.records import InvalidMessage


class Asked(Ask):
    """`ssh` asks something, through askpass."""

    @property
    def question(self) -> Question:
        """It, for a user."""
        return question_of(self)


def question_of(asked: Ask | control.Question) -> Question:
    """A question, for a user; what is of no known kind is hidden as it is typed."""
    is_known = asked.kind in list(QuestionKind)
    return Question(prompt=asked.prompt, kind=QuestionKind(asked.kind) if is_known else QuestionKind.SECRET)


def wish(said: object) -> dict[str, Any]:
    """A wish as it was said, its declared keys alone. Raises InvalidMessage."""
    Wished.read(said)
    return {key: said.get(key) for key in Wished.fields()} if isinstance(said, dict) else {}


def refusal(error: InvalidMessage) -> Usage:
    """The error for a request that is not as declared."""
    return Usage(f"the keeper rejected the request: {error}", hint="")
