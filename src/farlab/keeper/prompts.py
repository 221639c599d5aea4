"""Carries the questions of `ssh`, which come through askpass, to a user who is attached, and the answers back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from . import control_messages
from .control_connection import ControlConnection, Words
from .keeper import Keeper


class PromptBroker:
    """Knows who is attached, and which questions are open. The user who attached last is asked."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._users: list[ControlConnection] = []
        self._open: dict[int, tuple[ControlConnection, asyncio.Future[str | None]]] = {}
        self._numbers = itertools.count(1)

    @contextmanager
    def attached(self, user: ControlConnection) -> Iterator[None]:
        """Inside, this user may be asked. A user who leaves has declined what is still open."""
        self._users.append(user)
        try:
            yield
        finally:
            self._users.remove(user)
            for asked, answer in self._open.values():
                if asked is user and not answer.done():
                    answer.set_result(None)
            if not self._users:
                self._keeper.user_left()

    async def receive_answers(self, user: ControlConnection) -> None:
        """Take the user's answers until the user has gone."""
        while message := await user.receive():
            given = control_messages.Answer.read_leniently(message)
            _, answer = self._open.get(given.id, (None, None))
            if answer is not None and not answer.done():
                answer.set_result(None if message.get("answer") is None else given.answer)

    async def ask(self, askpass: ControlConnection, message: Words) -> None:
        """Put a question of `ssh` to a user, and send askpass the answer, or that there is none."""
        keeper = self._keeper
        if not self._users or not keeper.may_prompt:
            askpass.send(cancel=True)
            return
        question = control_messages.Asked.read(message).question
        number, user = next(self._numbers), self._users[-1]
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._open[number] = user, answer
        user.send(question={"id": number, **asdict(question)})
        gone = asyncio.create_task(askpass.receive())
        keeper.report_prompt(is_open=True)
        try:
            either: set[asyncio.Future[Any]] = {answer, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            del self._open[number]
            keeper.report_prompt(is_open=False)
        given = answer.result() if answer.done() else None
        if given is not None:
            askpass.send(answer=given)
            return
        askpass.send(cancel=True)
        if not gone.done():
            keeper.decline()
