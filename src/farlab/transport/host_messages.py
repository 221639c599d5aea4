"""What the host tells, as values of the laptop's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..advice import OF_HOSTS
from ..errors import FarlabError, Internal, every_error
from ..mux.frames import ProtocolError
from ..protocol.agent import ForeignServer as Foreign
from ..protocol.agent import Progress, Stopped
from ..protocol.mux_messages import BufferInfo, SessionInfo, SessionMessage
from ..protocol.records import InvalidMessage
from ..protocol.session import MOST_LISTED, ErrorInfo
from ..protocol.session import KernelInfo as KernelTold
from ..protocol.session import ListedSession as Listed

__all__ = ["Foreign", "KernelTold", "Listed", "Progress", "RemoteBuffer", "SessionInfo", "Stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteBuffer:
    """How the mux fares at the host's end."""

    limit: int = 0
    """Bytes kept there at most; 0: an anchor of an older farlab does not say."""
    full_since: float | None = None
    """Unix time from which on there was no room when this laptop was away last; None: there always was."""
    full_seconds: float = 0.0

    @classmethod
    def of(cls, info: BufferInfo | None, now: float) -> RemoteBuffer:
        """Of what the anchor says; `now`: Unix time."""
        if info is None or info.full is None:
            return cls(limit=info.limit if info else 0)
        return cls(limit=info.limit, full_since=now - info.full.ago, full_seconds=info.full.values()["for"])


def described(words: Mapping[str, Any], now: float) -> tuple[SessionInfo, RemoteBuffer]:
    """The anchor's message of its session and of the mux's far end. Raises ProtocolError: the link is of no use."""
    try:
        message = SessionMessage.read(words)
    except InvalidMessage as error:
        raise ProtocolError(f"a message in which {error}") from None
    return message.session, RemoteBuffer.of(message.line, now)


def failure(info: object, host: str) -> FarlabError:
    """The error that the host reports. What to type next is ours to say: any other hint is among the host's words."""
    error = info if isinstance(info, ErrorInfo) else ErrorInfo.read_leniently(info)
    cls = {each.slug: each for each in every_error()}.get(error.code, Internal)
    hint = OF_HOSTS.get(error.hint)
    detail = "\n".join(filter(None, (error.detail.rstrip(), "" if hint else error.hint)))
    return cls(f"{host}: {error.message}", detail=detail, hint=hint)


def listed(value: object) -> list[dict[str, Any]]:
    """The objects of a list that a host sent, whatever it sent."""
    return [each for each in value[:MOST_LISTED] if isinstance(each, dict)] if isinstance(value, list) else []
