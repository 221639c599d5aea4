"""What is asked on the anchor's private socket, and by whom. Python 3.6.

what STEPS names    by the launcher, on its way to become the server, and by the server
wish, status, stop  by the launcher; by an agent
join                by an agent that then hands over its link's two descriptors
"""

from farlab.host import system
from farlab.mux import frames
from farlab.protocol import jupyter

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from farlab.host.control import ControlConnection
    from farlab.host.server import Server
    from farlab.host.session_record import SessionRecord

STEPS = {
    "setting_up": {},
    "in_shell": {"pid": system.PID, "home": str},
    "installing": {},
    "in_python": dict.fromkeys(("app", "server", "python", "directory"), str),
    "serving": dict.fromkeys(("base_url", "setting", "doorkeeper"), str),
    "open_kernel": {"name": str},
    "fail": {"code": str, "message": str, "detail": system.TEXT, "hint": system.TEXT},
}  # type: dict[str, dict[str, object]]
"""What the launcher reports on its way to become the server, and what belongs to each report."""


class Requests(object):
    """Answers requests. `on_stop(connection)` is called for a request to end the session."""

    def __init__(
        self,
        spec: "dict[str, Any]",
        server: "Server",
        record: "SessionRecord",
        on_stop: "Callable[[ControlConnection], object]",
    ) -> None:
        self._spec, self._server, self._record, self._on_stop = spec, server, record, on_stop

    def dispatch(self, request: "dict[str, Any]", connection: "ControlConnection") -> None:
        """Answer one request. Raises if it makes no sense, and then has done nothing."""
        op, server, options = request.get("op"), self._server, self._spec["wish"]
        if op == "wish":
            connection.send(wish=options)
        elif op in STEPS:
            if not system.fits(request, STEPS[op]):
                raise ValueError("not as `%s` is" % op)
            server.report(op, {key: request[key] for key in STEPS[op]})
            connection.send(wish=options, token=self._record.token, session=self._spec["directory"])
        elif op == "join":
            connection.send(mux=frames.VERSION, **self._record.describe(server))
        elif op == "status":
            self._send_status(connection)
        elif op == "stop":
            self._on_stop(connection)
        else:
            raise ValueError("no request")

    def _send_status(self, connection: "ControlConnection") -> None:
        def on_kernels(status: "int | None", kernels: bytes) -> None:
            def on_sessions(code: "int | None", sessions: bytes) -> None:
                found = jupyter.kernels(kernels, sessions if code == 200 else b"") if status == 200 else None
                listed = None if found is None else [each.values() for each in found]
                connection.send(kernels=listed, **self._record.describe(self._server))

            if status is None:  # it hangs: do not ask again
                on_sessions(None, b"")
            else:
                self._server.request("GET", "api/sessions", on_sessions)

        if self._server.answers:
            self._server.request("GET", "api/kernels", on_kernels)
        else:
            on_kernels(None, b"")
