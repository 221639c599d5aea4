"""The first that runs on the host: hears what is asked for, and with it the agent, which answers. Python 3.6.

Rule: as small as can be, for it travels in ssh's command line, and not every server takes a long one.

Both sides talk in frames `\\n NONCE : LENGTH(8 hex) CHECK(8 hex) BODY`: what start-up files print before an answer is
skipped, and a request of which they have read something is asked for again. `docs/protocol.md` describes it.
"""

import json
import os
import select
import stat
import zlib
from contextlib import suppress

MYPY = False
if MYPY:
    from typing import Any

MOST_REQUEST = 8 << 20
MOST_ASKED = 5
SILENCE = 3.0
"""Seconds without a byte after which a request is taken to be lost."""


class Link(object):
    """The laptop, at the other end of standard input and output."""

    def __init__(self, nonce: str) -> None:
        self._mark = b"\n%s:" % nonce.encode()
        self._came = b""
        self._serial = 0

    def send(self, message: object) -> None:
        """A dictionary, or a record (`protocol.records`)."""
        body = json.dumps(message, default=vars).encode()
        rest = self._mark + b"%08x%08x%s" % (len(body), zlib.crc32(body), body)
        while rest:
            rest = rest[os.write(1, rest) :]

    def receive(self, silence: "float | None" = SILENCE) -> "dict[str, Any]":
        """The next request, with what it brings along as `brought`; ends the agent where the link has ended.

        It is asked for again where start-up files have read of it, or `silence` seconds pass without a byte.
        """
        asked = 0
        while asked < MOST_ASKED:
            body = self._frame(silence)
            if body is None:
                asked += 1
                self.send({"need": "request"})
                continue
            line, _, brought = body.partition(b"\n")
            request = dict(json.loads(line.decode()), brought=brought)
            if request["serial"] > self._serial:  # else it came twice
                self._serial = request["serial"]
                return request
        raise self._lost()

    def _lost(self) -> SystemExit:
        """Say, if anybody is there to hear it, that nothing comes; what is returned ends the agent."""
        message = "a start-up file of your login shell reads or closes standard input, which farlab needs"
        with suppress(OSError):
            self.send({"error": {"code": "shell-failed", "message": message}})
        return SystemExit(0)

    def _frame(self, silence: "float | None") -> "bytes | None":
        """The body of the next frame, None where something is missing of it."""
        mark = self._mark[1:]
        while True:
            before, found, rest = self._came.partition(mark)
            if found and len(rest) >= 16:
                self._came = rest[16:]
                try:
                    return self._body(int(rest[:8], 16), int(rest[8:16], 16), silence)
                except ValueError:
                    return None
            if not self.more(silence) or len(before) > MOST_REQUEST:
                return None

    def _body(self, size: int, check: int, silence: "float | None") -> "bytes | None":
        while len(self._came) < size <= MOST_REQUEST:
            if not self.more(silence):
                return None
        body = self._came[:size]
        if zlib.crc32(body) != check:
            return None
        self._came = self._came[size:]
        return body

    def more(self, silence: "float | None") -> bool:
        """Read what has come; False where nothing does for so many seconds."""
        if not select.select([0], [], [], silence)[0]:
            return False
        part = os.read(0, 65536)
        if not part:
            raise self._lost()
        self._came += part
        return True


def main(nonce: str) -> None:
    """Hear the first request, and have the agent that comes with it answer."""
    if not (stat.S_IFMT(os.fstat(1).st_mode) in (stat.S_IFIFO, stat.S_IFSOCK) or os.isatty(1)):
        os.dup2(2, 1)  # a start-up file has sent it elsewhere: it is heard that we are, and where
    link = Link(nonce)
    link.send({"hello": True})
    request = link.receive()
    agent, request["brought"] = request["brought"][: request["agent"]], request["brought"][request["agent"] :]
    exec(zlib.decompress(agent, -15), {"link": link, "request": request})  # noqa: S102 - it is ours, as we are
