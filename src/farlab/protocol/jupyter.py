"""What Jupyter's server answers about its kernels, to keeper and anchor. Pure; Python 3.6."""

import json

from farlab.protocol.listing import KernelInfo
from farlab.protocol.records import Boolean, Each, InvalidMessage, Nested, Optional, Record, Required, Text
from farlab.protocol.session import MOST_LISTED


class Kernel(Record):
    """One of `/api/kernels`."""

    id = Text(100, cut=True)
    name = Text(100, cut=True)
    execution_state = Text(40, cut=True)
    last_activity = Text(40, cut=True)
    farlab_private = Optional(Boolean())
    """`host.kernels` adds it."""


class KernelId(Record):
    """The kernel of a session."""

    id = Required(Text(100))


class NotebookSession(Record):
    """One of `/api/sessions`."""

    kernel = Required(Nested(KernelId))
    path = Text(1024, cut=True)
    name = Text(1024, cut=True)


class Answers(Record):
    """Both, as one object."""

    kernels = Required(Each(Nested(Kernel, lenient=True), MOST_LISTED, lenient=True))
    sessions = Each(Nested(NotebookSession, lenient=True), MOST_LISTED, lenient=True)


def kernels(kernels_body: bytes, sessions_body: bytes) -> "tuple[KernelInfo, ...] | None":
    """Every kernel with its notebook, of the two answers' bodies; None where the first is not as the server's are."""
    try:
        answers = Answers.read_leniently({"kernels": _json(kernels_body), "sessions": _json(sessions_body)})
    except InvalidMessage:
        return None
    notebooks = {each.kernel.id: each.path or each.name for each in answers.sessions if each}
    return tuple(
        KernelInfo(
            id=each.id, name=each.name, state=each.execution_state, last_activity=each.last_activity,
            notebook=notebooks.get(each.id, ""), private=each.farlab_private,
        )
        for each in answers.kernels if each
    )  # fmt: skip


def _json(body: bytes) -> object:
    try:
        value = json.loads(body.decode())  # type: object
    except (ValueError, RecursionError):
        return None
    return value
