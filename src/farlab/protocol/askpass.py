"""What askpass, which `ssh` runs, says on the control socket of a keeper, or of a command. Pure; Python 3.6."""

from farlab.protocol.records import Boolean, Optional, Record, Text

MOST_PROMPT = 1 << 16


class Ask(Record):
    """`ssh` asks something."""

    op = Text(20)
    prompt = Text(MOST_PROMPT, cut=True)
    kind = Text(20, default="secret")
    """A `model.QuestionKind`."""


class Asked(Record):
    """The answer, or that there is none."""

    answer = Optional(Text(MOST_PROMPT))
    cancel = Boolean()
