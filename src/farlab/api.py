"""The public Python API: values in, frozen results out. It prints nothing.

    with farlab.connect("gpu1") as session:
        print(session.url)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .model import Connected, Disconnected, Kernel, Progress, Question, SessionStatus, Target, Terminated, Wish

Ask = Callable[[Question], str | None]
"""Answers one question of `ssh`; None cancels. It may take as long as the person takes."""
Tell = Callable[[Progress], None]
"""Is told what is being waited for."""
Confirm = Callable[[tuple[Kernel, ...]], bool]
"""Asked before busy kernels are ended; False leaves everything as it is."""


def connect(target: Target, wish: Wish, *, ask: Ask | None = None, tell: Tell | None = None) -> Connected:
    """Start or find the session and bring it to this machine. `ask` None: nobody is there to answer `ssh`."""
    raise NotImplementedError


def terminate(target: Target, *, confirm: Confirm | None = None, ask: Ask | None = None, tell: Tell | None = None, timeout: float = 60.0) -> Terminated:
    """End the session on the host and what runs here. `confirm` None: end busy kernels without asking."""
    raise NotImplementedError


def disconnect(target: Target) -> Disconnected:
    """End only what runs here. Raises `NoSession` where no keeper lives."""
    raise NotImplementedError


def sessions() -> tuple[SessionStatus, ...]:
    """Every session known here, live where its keeper answers. Starts nothing and uses no SSH."""
    raise NotImplementedError


def sessions_on(target: Target, *, ask: Ask | None = None, tell: Tell | None = None, timeout: float = 60.0) -> tuple[SessionStatus, ...]:
    """Every session on `target.host`, asked over one SSH command, with the servers farlab did not start."""
    raise NotImplementedError


def status(target: Target) -> SessionStatus:
    """One session in full. Raises `NoSession` where nothing of that name is known here."""
    raise NotImplementedError


def follow_status(target: Target) -> Iterator[SessionStatus]:
    """The status now and after each change, until the keeper ends."""
    raise NotImplementedError


def open_url(target: Target) -> str:
    """A one-time local address without the token that leads a browser into the session."""
    raise NotImplementedError


def logs(target: Target, *, follow: bool = False, keeper: bool = False, lines: int = 200, ask: Ask | None = None) -> Iterator[str]:
    """The server's log (or the keeper's), line by line, without newline."""
    raise NotImplementedError


def attach_command(target: Target) -> list[str]:
    """The argv that enters the tmux session behind `target` in this terminal."""
    raise NotImplementedError
