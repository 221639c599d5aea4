"""What a host says, as values of the laptop's. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from ..advice import OF_HOSTS
from ..errors import FarlabError, Internal, every_error
from ..model import Kernel
from ..mux.frames import ProtocolError
from ..protocol.listing import KernelInfo
from ..protocol.mux_messages import SessionMessage
from ..protocol.records import InvalidMessage
from ..protocol.session import ErrorInfo


def failure(info: ErrorInfo, host: str) -> FarlabError:
    """The error that the host reports. What to type next is ours to say: any other hint is among the host's words."""
    cls = {each.slug: each for each in every_error()}.get(info.code, Internal)
    hint = with_names(OF_HOSTS.get(info.hint), info.names)
    detail = "\n".join(filter(None, (info.detail.rstrip(), "" if hint else info.hint)))
    return cls(f"{host}: {info.message}", detail=detail, hint=hint)


def with_names(hint: str | None, names: tuple[str, ...]) -> str | None:
    """A hint for each of these names, of which the host knows only that they are there."""
    plain = [name for name in names if name.isprintable() and not set(name) & set("{}`")][:4]
    if hint is None or "EACH" not in hint:
        return hint
    return " or ".join(hint.replace("EACH", shlex.quote(name)) for name in plain) or None


def kernels(found: Iterable[KernelInfo | None] | None) -> tuple[Kernel, ...] | None:
    """Kernels as a host, or a keeper, names them; None where it cannot."""
    return None if found is None else tuple(Kernel(**each.values()) for each in found if each)


def session_message(message: object) -> SessionMessage:
    """The anchor's message of its session. Raises ProtocolError: the link is of no use."""
    try:
        return SessionMessage.read(message)
    except InvalidMessage as invalid:
        raise ProtocolError(f"a message in which {invalid}") from None
