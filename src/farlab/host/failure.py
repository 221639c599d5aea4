"""An expected failure on the host. Python 3.6."""

from farlab.protocol.session import ErrorInfo

MYPY = False
if MYPY:
    from typing import Sequence


class Failure(Exception):
    """`info` is what the laptop hears of it: its `code` is a slug of farlab's errors.

    `detail` None: the server's log tells more.
    """

    def __init__(
        self, code: str, message: str, detail: "str | None" = "", hint: "str | None" = None, names: "Sequence[str]" = ()
    ) -> None:
        Exception.__init__(self, message)
        self.info = ErrorInfo(code=code, message=message, detail=detail, hint=hint, names=tuple(names))
