"""What the host tells, message by message: the anchor of its session, the agent of what it was asked for. Pure.

Rule: nothing is taken for what it should be. Each message is a declared record; what is not as declared is `Wrong`, or
counts as not told where the rest of the message is worth having.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..advice import OF_HOSTS
from ..errors import FarlabError, Internal, every_error
from ..mux.frames import ProtocolError
from ..protocol.records import Flag, MaybeFlag, MaybeWhole, Number, Path, Record, Text, Texts, Whole, Word, Wrong

MOST_LISTED = 1000
"""Sessions, servers or kernels in one list; what is beyond is left out."""
_MOST_PATH = 4096
"""PATH_MAX of Linux, which is more than others'."""
_MOST_SECONDS = 1e9
_MOST_PID = (1 << 31) - 1


class SessionInfo(Record):
    """A session as its anchor describes it; texts are empty where it has not."""

    state = Text(40)
    """`starting`, `up` or `ended`."""
    stage = Text(200, cut=True)
    """What a server that starts waits for."""
    node = Text(255, cut=True)
    launcher = Text(40)
    transport = Text(40)
    app = Text(40)
    server = Text(200, cut=True)
    """Its name and version."""
    base_url = Word(1024)
    token = Word(1024)
    directory = Path(_MOST_PATH)
    home = Path(_MOST_PATH)
    asked = Path(_MOST_PATH)
    """The directory as the person named it."""
    environment = Path(_MOST_PATH)
    pid = MaybeWhole(0, _MOST_PID)
    """The server's."""
    answers = Flag(default=True)
    """Whether the server did when the anchor asked it last."""
    keep_output = Flag()
    which_kernels = Text(40)
    """Those that may run (`model.Kernels`)."""
    open_kernels = Texts(Text(100, cut=True), 20, cut=True)
    """Kinds of kernels that have run here and that others on the host could read."""
    names = Texts(Word(32), MOST_LISTED, cut=True)
    """Of the person's sessions that this host knows."""


class Buffer(Record):
    """How much the anchor keeps for this laptop, in bytes."""

    limit = Whole(0, (1 << 63) - 1)


class Full(Record):
    """When there was no room in it last: how many seconds ago that began, and how many it took."""

    ago = Number(0, _MOST_SECONDS)
    took = Number(0, _MOST_SECONDS)


class Progress(Record):
    """What the agent waits for."""

    progress = Text(40, cut=True)
    text = Text(200, cut=True)


class Failure(Record):
    """An error of the host's: its `code` is a slug of `errors`."""

    code = Text(40)
    message = Text(500, default="failed", cut=True)
    detail = Text(16384, cut=True)
    hint = Text(500, cut=True)


class Listed(Record):
    """A session as the agent lists it."""

    name = Text(32)
    state = Text(40, cut=True)
    node = Text(255, cut=True)
    app = Text(40, cut=True)
    launcher = Text(40, cut=True)
    transport = Text(40, cut=True)
    server = Text(200, cut=True)
    directory = Text(_MOST_PATH, cut=True)
    environment = Text(_MOST_PATH, cut=True)
    reason = Text(500, cut=True)
    pid = MaybeWhole(0, _MOST_PID)


class Foreign(Record):
    """A Jupyter server that farlab did not start, as the agent lists it."""

    directory = Text(_MOST_PATH, cut=True)
    server = Text(40, cut=True)
    pid = MaybeWhole(0, _MOST_PID)
    port = MaybeWhole(0, (1 << 16) - 1)


class Stopped(Record):
    """The end of a session, and how many kernels it had."""

    kernels = Whole(0, 1 << 20)


class KernelTold(Record):
    """A kernel as the agent, or the server itself, tells of it."""

    id = Text(100, cut=True)
    name = Text(100, cut=True)
    state = Text(40, cut=True)
    notebook = Text(1024, cut=True)
    last_activity = Text(40, cut=True)
    private = MaybeFlag()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteBuffer:
    """How the line fares at the host's end."""

    limit: int = 0
    """Bytes kept there at most; 0: an anchor of an older farlab does not say."""
    full_since: float | None = None
    """Unix time from which on there was no room when this laptop was away last; None: there always was."""
    full_seconds: float = 0.0

    @classmethod
    def of(cls, words: object, now: float) -> RemoteBuffer:
        """Of the anchor's own words; `now`: Unix time. Raises `Wrong`."""
        limit = Buffer.read({} if words is None else words).limit
        full = words.get("full") if isinstance(words, dict) else None
        if full is None:
            return cls(limit=limit)
        told = Full.read({"ago": full.get("ago"), "took": full.get("for")} if isinstance(full, dict) else full)
        return cls(limit=limit, full_since=now - told.ago, full_seconds=told.took)


def described(words: Mapping[str, Any], now: float) -> tuple[SessionInfo, RemoteBuffer]:
    """The anchor's message of its session and of the line's far end. Raises ProtocolError: the link is of no use."""
    try:
        return SessionInfo.read(words.get("session")), RemoteBuffer.of(words.get("line"), now)
    except Wrong as wrong:
        raise ProtocolError(f"a message in which {wrong}") from None


def failure(words: object, host: str) -> FarlabError:
    """The error that the host reports. What to type next is ours to say: any other hint is among the host's words."""
    told = Failure.read_leniently(words)
    cls = {each.slug: each for each in every_error()}.get(told.code, Internal)
    hint = OF_HOSTS.get(told.hint)
    detail = "\n".join(filter(None, (told.detail.rstrip(), "" if hint else told.hint)))
    return cls(f"{host}: {told.message}", detail=detail, hint=hint)


def listed(value: object) -> list[dict[str, Any]]:
    """The objects of a list that a host sent, whatever it sent."""
    return [each for each in value[:MOST_LISTED] if isinstance(each, dict)] if isinstance(value, list) else []
