"""Has the policy decide on one event after the other, and what it orders performed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from .events import Action, Event, Moment
from .link_state import LinkState
from .policy import decide


class PolicyRunner:
    """`perform` does what is ordered; `on_decided(before, after)` is called when the state has been entered.

    What happens while an order is performed is decided on next. A fault in one order costs none of the others, and is
    logged as one in a callback.
    """

    def __init__(
        self,
        state: LinkState,
        *,
        moment: Callable[[], Moment],
        perform: Callable[[Action], None],
        on_decided: Callable[[LinkState, LinkState], None],
    ) -> None:
        self.state = state
        self._moment, self._perform, self._on_decided = moment, perform, on_decided
        self._events: deque[Event] = deque()
        self._is_deciding = False

    def handle(self, event: Event) -> None:
        """Something has happened."""
        self._events.append(event)
        if self._is_deciding:
            return
        self._is_deciding = True
        try:
            while self._events:
                self._decide(self._events.popleft())
        finally:
            self._is_deciding = False

    def _decide(self, event: Event) -> None:
        before = self.state
        self.state, actions = decide(before, event, self._moment())
        self._on_decided(before, self.state)
        for action in actions:
            try:
                self._perform(action)
            except Exception as error:  # as of any callback: asyncio's handler logs it
                context = {"message": f"cannot perform {action}", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
