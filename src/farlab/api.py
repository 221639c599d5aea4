"""The Python face of farlab: `farlab.connect(host)` gives a session. A thin layer above `api`; it prints nothing.

Leaving the `with` block leaves the session running and its address working, as `farlab connect` does. Say
`terminate_on_exit=True` for a session that ends with the block; it ends however the block is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from types import TracebackType

from .client import sessions as api
from .client.sessions import Ask, Confirm, Tell
from .config import Setting, Settings, from_value, wish
from .errors import NoSession, Usage
from .model import App, Connected, Disconnected, Kernels, SessionStatus, Target, Terminated
from .paths import absolute


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
    dir: str | PurePath | None = None,  # noqa: A002 - the option's name
    env: str | PurePath | None = None,
    setup: Sequence[str] = (),
    app: App | str | None = None,
    notebook: str | PurePath | None = None,
    port: int | None = None,
    timeout: float = 120.0,
    kernels: Kernels | str | None = None,
    keep_output: bool = False,
    keep_host: int | str | None = None,
    keep_laptop: int | str | None = None,
    keep_hours: float | None = None,
    ssh_config: str | PurePath | None = None,
    ask: Ask | None = None,
    tell: Tell | None = None,
    terminate_on_exit: bool = False,
) -> Session:
    """Start or find the session `name` on `host` and bring it to this machine. Raises `FarlabError`.

    Options mean what they mean to `farlab connect`, seconds and all; without `ask` a question of `ssh` is an error.
    """
    _check_calls(ask=ask, tell=tell)
    target = _target(host, name, ssh_config)
    words = {"dir": dir, "env": env, "setup": setup, "app": app, "notebook": notebook, "port": port, "timeout": timeout}
    kept = {"keep_output": keep_output, "keep_host": keep_host, "keep_laptop": keep_laptop, "keep_hours": keep_hours}
    given = _checked(**words, kernels=kernels, **kept)
    connected = api.connect(target, wish(given), ask=ask, tell=tell)
    return Session(target=target, connected=connected, terminate_on_exit=terminate_on_exit)


def terminate(
    host: str, *, name: str = "main", ssh_config: str | PurePath | None = None, ask: Ask | None = None
) -> Terminated:
    """End the session on the host, busy kernels too, and what runs here. Raises `NoSession` where there is none."""
    _check_calls(ask=ask)
    return api.terminate(_target(host, name, ssh_config), ask=ask)


def disconnect(host: str, *, name: str = "main", ssh_config: str | PurePath | None = None) -> Disconnected:
    """End only what runs here; the session goes on."""
    return api.disconnect(_target(host, name, ssh_config))


def status(host: str, *, name: str = "main", ssh_config: str | PurePath | None = None) -> SessionStatus:
    """One session in full."""
    return api.status(_target(host, name, ssh_config))


def sessions() -> tuple[SessionStatus, ...]:
    """Every session known here. Uses no SSH."""
    return api.sessions()


def sessions_on(
    host: str, *, ssh_config: str | PurePath | None = None, ask: Ask | None = None
) -> tuple[SessionStatus, ...]:
    """Every session on `host`, asked there, with the servers farlab did not start."""
    _check_calls(ask=ask)
    return api.sessions_on(_target(host, "main", ssh_config), ask=ask)


def _target(host: str, name: str, ssh_config: str | PurePath | None) -> Target:
    """As the command line has it: the file by its whole path, since it belongs to what the session is known by."""
    given = _checked(host=host, name=name, ssh_config=ssh_config)
    if host is None or name is None:
        raise Usage("`host` and `name` are texts")
    file = given.text("ssh-config")
    config = absolute(file) if file else None
    return Target(host=given.text("host") or "", name=given.text("name") or "", ssh_config=config)


def _checked(**given: object) -> Settings:
    """What was given, by the names and ranges of the settings. Raises `Usage`."""
    settings = {key.replace("_", "-"): value for key, value in given.items() if value is not None}
    origins = {key: f"`{key.replace('-', '_')}`" for key in settings}
    return Settings(
        chosen={
            key: Setting(value=from_value(key, value, origins[key]), origin=origins[key])
            for key, value in settings.items()
        }
    )


def _check_calls(**given: object) -> None:
    for key, value in given.items():
        if value is not None and not callable(value):
            raise Usage(f"`{key}`: `{value!r}` cannot be called")
