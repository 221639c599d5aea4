"""The public Python API: `farlab.connect(host)` returns a session. Values in, frozen results out; it prints nothing.

After a `with` block the session keeps running and its address keeps working, as after `farlab connect`. With
`terminate_on_exit=True` the session ends with the block, however the block is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from types import TracebackType

from .client import sessions as operations
from .config import Given, Settings, from_value, session_options
from .errors import NoSession, Usage
from .model import (
    DEFAULT_NAME,
    DEFAULT_TIMEOUT,
    App,
    Confirm,
    Connected,
    Disconnected,
    Kernels,
    OnProgress,
    Prompt,
    SessionStatus,
    Target,
    Terminated,
)
from .paths import absolute, homes


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One connected session. `connected` holds all that `connect` returned."""

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
        return operations.status(self.target)

    def terminate(self, *, confirm: Confirm | None = None) -> Terminated:
        """Stop the session on the host and its keeper. `confirm` None: busy kernels end too."""
        return operations.terminate(self.target, confirm=confirm)

    def disconnect(self) -> Disconnected:
        """Stop only the keeper here; the session keeps running."""
        return operations.disconnect(self.target)

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
    name: str = DEFAULT_NAME,
    dir: str | PurePath | None = None,  # noqa: A002 - the option's name
    env: str | PurePath | None = None,
    setup: Sequence[str] = (),
    app: App | str | None = None,
    notebook: str | PurePath | None = None,
    port: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    kernels: Kernels | str | None = None,
    keep_output: bool = False,
    keep_host: int | str | None = None,
    keep_laptop: int | str | None = None,
    keep_hours: float | None = None,
    ssh_config: str | PurePath | None = None,
    ask: Prompt | None = None,
    tell: OnProgress | None = None,
    terminate_on_exit: bool = False,
) -> Session:
    """Start or find the session `name` on `host` and connect it to this machine. Raises `FarlabError`.

    The options are those of `farlab connect`. Without `ask` a question of `ssh` is an error.
    """
    _check_callables(ask=ask, tell=tell)
    target = _target(host, name, ssh_config)
    start = {"dir": dir, "env": env, "setup": setup, "app": app, "notebook": notebook, "port": port, "timeout": timeout}
    kept = {"keep_output": keep_output, "keep_host": keep_host, "keep_laptop": keep_laptop, "keep_hours": keep_hours}
    options = session_options(_checked(**start, kernels=kernels, **kept), homes=homes())
    connected = operations.connect(target, options, ask=ask, tell=tell)
    return Session(target=target, connected=connected, terminate_on_exit=terminate_on_exit)


def terminate(
    host: str, *, name: str = DEFAULT_NAME, ssh_config: str | PurePath | None = None, ask: Prompt | None = None
) -> Terminated:
    """Stop the session on the host, busy kernels too, and its keeper. Raises `NoSession` if there is none."""
    _check_callables(ask=ask)
    return operations.terminate(_target(host, name, ssh_config), ask=ask)


def disconnect(host: str, *, name: str = DEFAULT_NAME, ssh_config: str | PurePath | None = None) -> Disconnected:
    """Stop only the keeper here; the session keeps running."""
    return operations.disconnect(_target(host, name, ssh_config))


def status(host: str, *, name: str = DEFAULT_NAME, ssh_config: str | PurePath | None = None) -> SessionStatus:
    """One session in full."""
    return operations.status(_target(host, name, ssh_config))


def sessions() -> tuple[SessionStatus, ...]:
    """All sessions known here. Uses no SSH."""
    return operations.sessions()


def sessions_on(
    host: str, *, ssh_config: str | PurePath | None = None, ask: Prompt | None = None
) -> tuple[SessionStatus, ...]:
    """All sessions on `host`, with the servers that farlab did not start. Uses one `ssh`."""
    _check_callables(ask=ask)
    return operations.sessions_on(_target(host, DEFAULT_NAME, ssh_config), ask=ask)


def _target(host: str, name: str, ssh_config: str | PurePath | None) -> Target:
    """As the command line does it: the file by its absolute path, which is part of the session's identity."""
    given = _checked(host=host, name=name, ssh_config=ssh_config)
    if host is None or name is None:
        raise Usage("`host` and `name` must be strings")
    file = given.text("ssh-config")
    config = absolute(file) if file else None
    return Target(host=given.text("host") or "", name=given.text("name") or "", ssh_config=config)


def _checked(**given: object) -> Settings:
    """The values given, checked as settings. Raises `Usage`."""
    checked: dict[str, Given] = {}
    for name, value in given.items():
        if value is not None:
            key, origin = name.replace("_", "-"), f"`{name}`"
            checked[key] = Given(value=from_value(key, value, origin), origin=origin)
    return Settings(given=checked)


def _check_callables(**given: object) -> None:
    for key, value in given.items():
        if value is not None and not callable(value):
            raise Usage(f"`{key}`: `{value!r}` is not callable")
