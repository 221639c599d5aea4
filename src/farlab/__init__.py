"""farlab: a notebook on another machine, in one command, and it stays within reach.

    with farlab.connect("gpu1") as session:
        print(session.url)

Names are loaded when first used (PEP 562), so that `import farlab` costs next to nothing.
"""

from __future__ import annotations

from .version import __version__

TYPE_CHECKING = False  # what `typing` would say, without importing it
if TYPE_CHECKING:
    from .api import Session, connect, disconnect, sessions, sessions_on, status, terminate
    from .errors import FarlabError
    from .model import (
        App,
        Connected,
        Disconnected,
        Kernel,
        Progress,
        Question,
        QuestionKind,
        SessionStatus,
        State,
        Terminated,
    )

__all__ = [  # noqa: RUF022 - the functions first, then the values
    "__version__",
    "connect",
    "disconnect",
    "sessions",
    "sessions_on",
    "status",
    "terminate",
    "Session",
    "App",
    "Connected",
    "Disconnected",
    "FarlabError",
    "Kernel",
    "Progress",
    "Question",
    "QuestionKind",
    "SessionStatus",
    "State",
    "Terminated",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from importlib import import_module

        home = "errors" if name == "FarlabError" else "api" if name.islower() or name == "Session" else "model"
        value: object = getattr(import_module(f".{home}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
