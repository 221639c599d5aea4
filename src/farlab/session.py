"""The Python face of farlab: `farlab.connect(host)` gives a session. A thin layer above `api`; it prints nothing.

Leaving the `with` block leaves the session running and its address working, as `farlab connect` does. Say
`terminate_on_exit=True` for a session that ends with the block; it ends however the block is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from . import api
from .api import Ask, Confirm, Tell
from .config import from_text
from .errors import NoSession
from .model import App, Connected, Disconnected, SessionStatus, Target, Terminated, Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session, within reach. `connected` holds everything `connect` found out."""

    target: Target
    connected: Connected
    terminate_on_exit: bool = False

    @property
    def url(self) -> str:
        """The address for a browser, with the token."""
        return self.connected.url

    @property
    def address(self) -> str:
        """The address for a program, `http://127.0.0.1:PORT`; send `Authorization: token TOKEN` with each request."""
        return self.connected.address

    @property
    def port(self) -> int:
        """The port on this machine."""
        return self.connected.port

    @property
    def token(self) -> str:
        """The session's secret."""
        return self.connected.token

    def status(self) -> SessionStatus:
        """The session as it is now."""
        return api.status(self.target)

    def terminate(self, *, confirm: Confirm | None = None) -> Terminated:
        """End the session on the host and what runs here. `confirm` None: busy kernels end too."""
        return api.terminate(self.target, confirm=confirm)

    def disconnect(self) -> Disconnected:
        """End only what runs here; the session goes on."""
        return api.disconnect(self.target)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.terminate_on_exit:
            with suppress(NoSession):  # ended inside the block
                self.terminate()


def connect(
    host: str,
    *,
    name: str = "main",
    dir: str | None = None,  # noqa: A002 - the option's name
    env: str | None = None,
    setup: Sequence[str] = (),
    app: App | str | None = None,
    notebook: str | None = None,
    port: int | None = None,
    timeout: float = 120.0,
    keep_output: bool = False,
    keep_host: int | str | None = None,
    keep_laptop: int | str | None = None,
    keep_hours: float | None = None,
    ssh_config: str | None = None,
    ask: Ask | None = None,
    tell: Tell | None = None,
    terminate_on_exit: bool = False,
) -> Session:
    """Start or find the session `name` on `host` and bring it to this machine. Raises `FarlabError`.

    Options mean what they mean to `farlab connect`, seconds and all; without `ask` a question of `ssh` is an error.
    """
    target = Target(host=host, name=name, ssh_config=ssh_config)
    wish = Wish(
        directory=dir,
        environment=env,
        setup=(setup,) if isinstance(setup, str) else tuple(setup),
        app=App(str(from_text("app", app, "`app`"))) if app else None,
        notebook=notebook,
        port=port,
        timeout=timeout,
        keep_output=keep_output,
        keep_host=_size(keep_host, "`keep_host`"),
        keep_laptop=_size(keep_laptop, "`keep_laptop`"),
        keep_hours=keep_hours,
    )
    connected = api.connect(target, wish, ask=ask, tell=tell)
    return Session(target=target, connected=connected, terminate_on_exit=terminate_on_exit)


def _size(size: int | str | None, origin: str) -> int | None:
    return None if size is None else int(str(from_text("keep-host", str(size), origin)))


def terminate(host: str, *, name: str = "main", ssh_config: str | None = None, ask: Ask | None = None) -> Terminated:
    """End the session on the host, busy kernels too, and what runs here. Raises `NoSession` where there is none."""
    return api.terminate(Target(host=host, name=name, ssh_config=ssh_config), ask=ask)


def disconnect(host: str, *, name: str = "main") -> Disconnected:
    """End only what runs here; the session goes on."""
    return api.disconnect(Target(host=host, name=name))


def status(host: str, *, name: str = "main") -> SessionStatus:
    """One session in full."""
    return api.status(Target(host=host, name=name))


def sessions() -> tuple[SessionStatus, ...]:
    """Every session known here. Uses no SSH."""
    return api.sessions()


def sessions_on(host: str, *, ssh_config: str | None = None, ask: Ask | None = None) -> tuple[SessionStatus, ...]:
    """Every session on `host`, asked there, with the servers farlab did not start."""
    return api.sessions_on(Target(host=host, ssh_config=ssh_config), ask=ask)
