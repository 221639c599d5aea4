"""farlab: a notebook on another machine, in one command, and it stays within reach.

    with farlab.connect("gpu1") as session:
        print(session.url)

Names are loaded when first used (PEP 562), so that `import farlab` costs next to nothing.
"""

from __future__ import annotations

from .version import __version__

TYPE_CHECKING = False  # what `typing` would say, without importing it
if TYPE_CHECKING:
    from .api import Session as Session
    from .api import connect as connect
    from .api import disconnect as disconnect
    from .api import sessions as sessions
    from .api import sessions_on as sessions_on
    from .api import status as status
    from .api import terminate as terminate
    from .errors import FarlabError as FarlabError
    from .model import App as App
    from .model import Connected as Connected
    from .model import Disconnected as Disconnected
    from .model import Kernel as Kernel
    from .model import Progress as Progress
    from .model import Question as Question
    from .model import QuestionKind as QuestionKind
    from .model import SessionStatus as SessionStatus
    from .model import State as State
    from .model import Terminated as Terminated

_HOMES = {
    "errors": ("FarlabError",),
    "model": (
        "App",
        "Connected",
        "Disconnected",
        "Kernel",
        "Progress",
        "Question",
        "QuestionKind",
        "SessionStatus",
        "State",
        "Terminated",
    ),
    "api": ("Session", "connect", "disconnect", "sessions", "sessions_on", "status", "terminate"),
}

__all__ = [  # noqa: RUF022 - the verbs first, then the values
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
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value: object = getattr(import_module(f".{home}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
