"""What is said to a keeper: on its standard input by the command that starts it, on its control socket by commands, and
by `ssh` in `askpass`. Pure; Python 3.6.

An answer is of the kind whose key it has. Only this very user may speak there, but it may be a script, or a
farlab of another version.
"""

from farlab.protocol.askpass import MOST_PROMPT
from farlab.protocol.listing import KernelInfo
from farlab.protocol.options import Options
from farlab.protocol.records import (
    Boolean,
    Each,
    Integer,
    Nested,
    Number,
    Optional,
    Path,
    Record,
    Required,
    Text,
    Texts,
    checked,
    is_path,
)
from farlab.protocol.session import MOST_LISTED, MOST_PID, Name

_Host = Path()
_Port = Integer(1, 65535)
_Count = Integer(0, 1 << 62)
_Seconds = Number(0, 1e12)
_ShortText = Text(1000, cut=True)


class Start(Record):
    """What a keeper is told when it starts."""

    host = Required(_Host)
    name = Required(Name)
    ssh_config = Optional(Path())
    port = Optional(_Port)
    wish = Required(Nested(Options))
    may_ask = Boolean()
    usual_name = Text(32, default="main")
    """What a session is called where no name is given."""
    resume = Boolean()
    """Whether it is connected again by itself, after this machine was restarted: nobody waits, nothing is started."""


class Started(Record):
    """What it answers: it listens, or another one does (`ready` is false), or it cannot (`Error`)."""

    ready = Required(Boolean())


# requests: `op` says which ------------------------------------------------------------------------------


def _is_environment(variables: "dict[str, str]") -> bool:
    return all(name and "=" not in name and is_path(name) and is_path(value) for name, value in variables.items())


def _environment(most: int) -> "dict[str, str]":
    """Variables by name, of at most `most` characters together."""
    field = checked(Texts(most), lambda found: sum(map(len, (*found, *found.values()))) <= most, "too long")
    return checked(field, _is_environment, "no environment")


class Connect(Record):
    """A user wants the session."""

    op = Text(20)
    wish = Nested(Options)
    may_ask = Boolean()
    environment = Optional(_environment(1 << 20))
    """That of their terminal, whole. It may hold secrets: it is neither saved nor logged."""


class AskStatus(Record):
    """How the session is, with its `kernels` if need be."""

    op = Text(20)
    kernels = Boolean()


class Bare(Record):
    """A request without more to it: `follow`, `open`, `kernels`, `terminate`, `disconnect`."""

    op = Text(20)


class AskLogs(Record):
    """The server's log over the link that stands: `Lines` after `Lines`, then nothing; or `Down`."""

    op = Text(20)
    lines = Required(_Count)
    follow = Boolean()


class Lines(Record):
    """Lines of the server's log."""

    lines = Required(Each(Text(1 << 20, cut=True), 1 << 20, lenient=True))


class Answer(Record):
    """The user's answer to the question of that number; None declines."""

    id = _Count
    answer = Optional(Text(MOST_PROMPT))


# answers ------------------------------------------------------------------------------------------------


class ErrorDocument(Record):
    """`errors.FarlabError.as_json`."""

    code = Text(40)
    message = Text(1 << 16, default="failed", cut=True)
    detail = Text(1 << 20, cut=True)
    hint = Optional(Text(1 << 16, cut=True))


class Error(Record):
    """The request failed."""

    error = Required(Nested(ErrorDocument, lenient=True))


class Progress(Record):
    """What is being waited for."""

    stage = Text(40, cut=True)
    text = Text(2000, cut=True)


class ProgressAnswer(Record):
    """To `connect`, now and then."""

    progress = Required(Nested(Progress, lenient=True))


class Question(Record):
    """A question of `ssh`, with the number that belongs into the answer."""

    id = _Count
    prompt = Text(MOST_PROMPT, cut=True)
    kind = Text(20, default="secret")


class QuestionAnswer(Record):
    """To `connect`, where `ssh` asks something."""

    question = Required(Nested(Question, lenient=True))


class Seconds(Record):
    """How long the steps of a connect took."""

    link = Optional(_Seconds)
    start = Optional(_Seconds)


class Connected(Record):
    """`model.Connected`."""

    host = Required(_Host)
    name = Required(Name)
    ssh_config = Optional(Path())
    node = _ShortText
    app = _ShortText
    url = Text(1 << 16)
    address = Text(1 << 16)
    port = Required(_Port)
    token = Text(1024)
    reused = Boolean()
    launcher = _ShortText
    transport = _ShortText
    pid = Integer(0, MOST_PID)
    directory = Path()
    environment = Path()
    server = _ShortText
    seconds = Nested(Seconds, lenient=True)
    notes = Each(Text(1 << 16, cut=True), 1000, lenient=True)
    open_url = Text(1 << 16)


class Result(Record):
    """To `connect`, at its end."""

    result = Required(Nested(Connected, lenient=True))


class Status(Record):
    """`model.SessionStatus`."""

    host = _Host
    name = Name
    state = Required(Text(20))
    at = _Seconds
    since = _Seconds
    port = Optional(_Port)
    url = Text(1 << 16)
    node = _ShortText
    app = _ShortText
    launcher = _ShortText
    transport = _ShortText
    server = _ShortText
    pid = Optional(Integer(0, MOST_PID))
    directory = Path()
    environment = Path()
    kernels = Optional(Each(Nested(KernelInfo, lenient=True), MOST_LISTED, lenient=True))
    last_kernels = Optional(Each(Nested(KernelInfo, lenient=True), MOST_LISTED, lenient=True))
    last_kernels_at = Optional(_Seconds)
    started = Optional(_Seconds)
    keeper_pid = Optional(Integer(0, MOST_PID))
    streams = _Count
    bytes_in = _Count
    bytes_out = _Count
    bytes_held = _Count
    bytes_limit = _Count
    full_since = Optional(_Seconds)
    host_bytes_limit = Integer(0, (1 << 63) - 1)
    host_full_since = Optional(Number(-1e12, 1e12))
    host_full_seconds = _Seconds
    last_heard = Optional(_Seconds)
    round_trip = Optional(_Seconds)
    outages = _Count
    longest_outage = _Seconds
    reason = Text(1 << 16, cut=True)
    foreign = Boolean()
    is_keeper_silent = Boolean()
    ssh_config = Optional(Path())


class StatusAnswer(Record):
    """To `status` and `follow`."""

    status = Required(Nested(Status, lenient=True))


class Kernels(Record):
    """To `kernels`; None where nobody can tell."""

    kernels = Optional(Each(Nested(KernelInfo, lenient=True), MOST_LISTED, lenient=True))


class OpenUrl(Record):
    """To `open`: an address that works once, and has no token."""

    open_url = Required(Text(1 << 16))


class Terminated(Record):
    """To `terminate`: the session has ended, or the link is `down` and the CLI has to go by itself."""

    terminated = Boolean()
    down = Boolean()


class Disconnected(Record):
    """To `disconnect`."""

    disconnected = Boolean()
    port = Optional(_Port)
    running = Optional(Boolean())
    """Whether the session goes on, as far as it was seen from here."""
