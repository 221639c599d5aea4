"""What is asked on the anchor's private socket (`protocol.anchor`, `protocol.launcher`). Python 3.6."""

from farlab.mux import frames
from farlab.protocol import anchor, jupyter
from farlab.protocol.launcher import STEPS, Wanted, Wish
from farlab.protocol.listing import ListedSession
from farlab.protocol.records import InvalidMessage

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from farlab.host.control import ControlConnection
    from farlab.host.server import Server
    from farlab.host.session_record import SessionRecord
    from farlab.protocol.spec import Spec

REQUESTS = dict(STEPS, wish=Wish, join=anchor.Join, status=anchor.Status, stop=anchor.Stop)


class Requests(object):
    """Answers requests. `on_stop(connection)` is called for a request to end the session."""

    def __init__(
        self,
        spec: "Spec",
        server: "Server",
        record: "SessionRecord",
        on_stop: "Callable[[ControlConnection], object]",
    ) -> None:
        self._spec, self._server, self._record, self._on_stop = spec, server, record, on_stop

    def dispatch(self, message: "dict[str, Any]", connection: "ControlConnection") -> None:
        """Answer one request. Raises InvalidMessage if it makes no sense, and then has done nothing."""
        op, wanted = message.get("op"), Wanted(wish=self._spec.wish)
        if not isinstance(op, str) or op not in REQUESTS:
            raise InvalidMessage("no request")
        request = REQUESTS[op].read(message)
        if op == "wish":
            connection.send(wanted)
        elif op in STEPS:
            self._server.report(op, request)
            wanted.token, wanted.session = self._record.token, self._spec.directory
            connection.send(wanted)
        elif op == "join":
            connection.send(anchor.Joining(mux=frames.VERSION))
        elif op == "status":
            self._send_status(connection)
        else:
            self._on_stop(connection)

    def _send_status(self, connection: "ControlConnection") -> None:
        def on_kernels(status: "int | None", kernels: bytes) -> None:
            def on_sessions(code: "int | None", sessions: bytes) -> None:
                found = jupyter.kernels(kernels, sessions if code == 200 else b"") if status == 200 else None
                summary = self._record.summary(self._server)
                connection.send(ListedSession(name=self._spec.name, kernels=found, **summary))

            if status is None:  # it hangs: do not ask again
                on_sessions(None, b"")
            else:
                self._server.request("GET", "api/sessions", on_sessions)

        if self._server.answers:
            self._server.request("GET", "api/kernels", on_kernels)
        else:
            on_kernels(None, b"")
