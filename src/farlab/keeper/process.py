"""The keeper's process: one line to one session, and whatever it takes to keep it. asyncio, one thread.

It feeds what happens to `states` and does what the new state asks for. It ends when it is told to, and when its
first connection fails: then nothing was begun.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from .. import store
from ..errors import FarlabError, LinkLost, NoSession, NotAnswering, from_json
from ..model import State, Target
from ..remote import bootstrap, frames
from ..remote.carrier import Carrier
from ..remote.line import UP, Event, Line
from . import states
from .dial import Dialed
from .link import Link
from .maker import LinkMaker
from .states import Happened
from .story import Story

LINE_LIMIT = 16 << 20
"""Bytes kept on the laptop for the host."""
HEARTBEAT = 3.0
SILENCE = 8.0
SETTLED = 5.0
"""Seconds after which a link counts as one that works: when it ends, the next is made at once."""
CHECK_TIMEOUT = 10.0
"""Seconds a server that is said to be up may take for its first answer."""
CHECK = b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_PASSING = (4, 9)
"""Exit statuses of errors that go away by themselves; after all others only a person can help."""
_EARLY = 8192
"""Bytes of the line that travel with the request, before the agent has answered."""

Words = dict[str, Any]


class Keeper:
    """`port` is bound already; `ask_socket` answers askpass; `dialed` is an `ssh` on its way, if there is one."""

    def __init__(self, target: Target, port: int, ask_socket: str, dialed: Dialed | None = None) -> None:
        self.target, self.port = target, port
        self.loop = asyncio.get_running_loop()
        self.state, self.since = State.CONNECTING, time.time()
        self.session: Words = {}
        """What the anchor told last; empty before."""
        self.reason: FarlabError | None = None
        self.seconds: dict[str, float] = {}
        self.reused = False
        self.outages = self.attempts = 0
        self.round_trip = 0.0
        self.last_heard = time.monotonic()
        self.wish: Words = {}
        self.notes: tuple[str, ...] = ()
        self.changed = asyncio.Event()
        self.news: Words = {}
        """The last progress, for whoever waits."""
        self.maker = LinkMaker(target, ask_socket, dialed)
        self.maker.join, self.maker.failed = self._join, self._failed
        self._memory = store.recall(target) or store.Memory(**asdict(target), port=port)
        self._story = Story(store.log_path(target))
        self._was_up = False
        self._broken = 0
        self._carried: Link | None = None
        self._ended_links: set[asyncio.Task[None]] = set()
        self._may_begin = True
        """Whether a session that is not there may be started: only for a person who connects."""
        self._check: asyncio.Task[None] | None = None
        self._answered = False
        self._line_up_at, self._is_greeted = 0.0, False
        self.on_turn: Callable[[int, bytes], None] = lambda stream, data: None
        """Is told when a browser asks again on a connection that has been answered."""
        self._begin_line()

    def _begin_line(self) -> None:
        self.line = Line(secrets.token_hex(16), True, LINE_LIMIT)
        self.carrier = Carrier(self.loop, self.line, self._event, self._lost)
        self.carrier.on_turn = lambda stream, data: self.on_turn(stream, data)

    @property
    def was_up(self) -> bool:
        """Whether this keeper has ever reached its session."""
        return self._was_up

    @property
    def is_linked(self) -> bool:
        """Whether a link carries the line."""
        return self._carried is not None

    # what people want ------------------------------------------------------------------------------------

    def connect(self, wish: Words, *, may_ask: bool) -> None:
        """A person wants the session: try at once, whatever the state."""
        if self.state in (State.UP, State.STARTING, State.SILENT) and self._carried:
            return
        self.wish = wish
        self.reason = None
        if self.state is State.ENDED:
            self._was_up = self._answered = False
            self.session, self.seconds = {}, {}
        self._may_begin = True
        self._happened(Happened.PERSON_CONNECTS)
        self.maker.person_wants(may_ask=may_ask)

    async def keep(self) -> None:
        """Make links for as long as one is wanted. Ends only by being cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._heartbeat())
            tasks.create_task(self.maker.run())

    async def close(self, *, message: dict[str, object] | None = None) -> None:
        """Say goodbye and let go of everything."""
        if self._carried:
            self.line.message(message if message is not None else {"bye": True})
            self.carrier.pump()
            await asyncio.sleep(0)
        self.carrier.close()
        if self._carried:
            await self._carried.end()
        await asyncio.gather(*self._ended_links, return_exceptions=True)

    # links -----------------------------------------------------------------------------------------------

    async def _join(self, link: Link) -> None:
        """Let the agent find or start the session and join the line to it; the link carries it from then on."""
        began = time.monotonic()
        self.tell("link", "connecting")
        if not self._was_up and self._check is None:
            self._begin_check()
        # beside a silent link the line goes on over that one until the agent has joined the new one
        token = None if self._carried else self.line.attach()
        early = b"" if token is None else b"".join(self.line.data_to_send(token, _EARLY))
        try:
            await self._ask_for_line(link, early)
        except BaseException:
            if token is not None:
                self.line.detach(token)
            raise
        self._line_up(link, self.line.attach() if token is None else token, began)

    async def _ask_for_line(self, link: Link, early: bytes) -> None:
        """Talk with the agent until the line can begin, with `early` as its first bytes."""
        bundle = bootstrap.bundle()
        is_likely_alive = self._was_up or self._memory.is_known_alive
        words: Words = {"op": "ensure", "name": self.target.name, "wish": self.wish, "existing": not self._may_begin}
        words["early"] = base64.b64encode(early).decode()
        await link.request(words, b"" if is_likely_alive else bundle)
        while True:
            frame = await link.frame()
            if "need" in frame:
                await link.request({}, bundle)
            elif "progress" in frame:
                self.tell(str(frame["progress"]), str(frame.get("text", "")))
            elif frame.get("joined"):
                self.reused = bool(frame.get("reused"))
                return

    def _line_up(self, link: Link, token: int, began: float) -> None:
        """The agent has joined the link: it carries the line from here on."""
        old, self._carried = self._carried, link
        if old:  # it was silent, and is given up for this one
            self.outages += 1
            self._let_end(old)
        self.maker.rest()
        self._may_begin = False
        self.seconds.setdefault("link", round(time.monotonic() - began, 3))
        self.last_heard = time.monotonic()
        self._line_up_at, self._is_greeted = time.monotonic(), False
        descriptor, brought = link.release()
        self.carrier.carry(token, descriptor, descriptor, brought)

    def _lost(self, reason: str) -> None:
        """The link that carried the line has ended."""
        link, self._carried = self._carried, None
        if link:
            self._let_end(link)
        self._broken = self._broken + 1 if reason.startswith("protocol") else 0
        if self._broken > 1:  # the two ends do not agree on what was said: begin anew
            self.carrier.close()
            self._begin_line()
        self._story.tell(f"the link ended: {reason}")
        if self.state is not State.ENDED:
            self.maker.want()
            self._count_lost(reason)
        self.publish()

    def _count_lost(self, reason: str) -> None:
        """A link that ended at once, or was never greeted, was a failed try, lest a host that drops each is stormed."""
        if self._is_greeted or self._was_up or self.state is State.STARTING:
            self.outages += 1
            has_lasted = self._is_greeted and time.monotonic() - self._line_up_at > SETTLED
            self.maker.failures = 0 if has_lasted else self.maker.failures + 1
            self._happened(Happened.LINK_LOST)
        else:
            host = self.target.host
            message = f"the link to `{host}` ended before the session was heard"
            hint = f"`farlab list --host {host}` shows whether it runs"
            self._failed(LinkLost(message, detail=reason, hint=hint))

    def _let_end(self, link: Link) -> None:
        task = self.loop.create_task(link.end())
        self._ended_links.add(task)
        task.add_done_callback(self._ended_links.discard)

    def _failed(self, error: FarlabError) -> None:
        """A link could not be made."""
        self._story.tell(f"cannot connect: {error.message} {error.detail}")
        self.attempts += 1
        self.reason = error
        is_passing = self._was_up and error.exit_status in _PASSING
        if isinstance(error, NoSession) and self._was_up:
            self._end(error)
        elif self._carried:  # it was to be a second one; the first may speak yet
            if not is_passing or self.state is not State.SILENT:
                self.maker.rest()
        elif is_passing:
            self._happened(Happened.LINK_LOST)
        else:
            self.maker.rest()
            self._happened(Happened.REFUSED)

    # what the line brings --------------------------------------------------------------------------------

    def _event(self, event: Event) -> None:
        self.last_heard = time.monotonic()
        if self.state is State.ENDED:
            return  # the rest of what came with that word
        if event.kind == UP:
            self._broken = 0
            self._is_greeted = True
            if not event.data:
                # with the node's name: two machines may share a home
                self.line.message({"laptop": f"{self._memory.laptop}@{os.uname().nodename}"})
            self._happened(Happened.LINE_UP)
            if not event.data and self._was_up:
                self._story.tell("the session's anchor is another: its connections begin anew")
        elif event.kind == frames.PONG:
            self.round_trip = time.monotonic() - struct.unpack(">d", event.data)[0]
        elif event.kind == frames.MESSAGE and isinstance(event.data.get("session"), dict):
            self._told(event.data["session"])

    def _told(self, session: Words) -> None:
        """The anchor describes the session."""
        self.session = session
        told = session.get("state")
        if told == "starting":
            self._happened(Happened.SERVER_STARTING)
            self.tell("start", str(session.get("stage", "")))
        elif told == "ended" and isinstance(session.get("error"), dict):
            error = from_json(session["error"])
            error.message = f"{self.target.host}: {error.message}"
            has_run = session["error"].get("code") in ("ended", "terminated")
            self._end(NoSession(error.message, detail=error.detail) if has_run else error)
        elif told == "up" and self._was_up:
            self._happened(Happened.SERVER_UP)
        elif told == "up":
            self.loop.call_later(CHECK_TIMEOUT, self._not_answering)
            self._reached()

    def _end(self, error: FarlabError) -> None:
        error.hint = error.hint.replace("HOST", self.target.host)
        self.reason = error
        self.maker.rest()
        if self._was_up:
            self._remember(is_alive=False)
        self.carrier.drop()
        if self._carried:
            self._let_end(self._carried)
            self._carried = None
        self._happened(Happened.SERVER_ENDED)

    def _begin_check(self) -> None:
        """Ask the server something through all of it; the question travels with the greeting."""
        ours, theirs = socket.socketpair()
        self.carrier.join(self.line.open("", CHECK), theirs)
        self._check = self.loop.create_task(self._await_check(ours))

    async def _await_check(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            sock.setblocking(False)
            self._answered = (await self.loop.sock_recv(sock, 64)).startswith(b"HTTP/")
        self._check = None
        self._reached()

    def _reached(self) -> None:
        """Up is what has answered and has said so."""
        if self._answered and self.session.get("state") == "up" and not self._was_up:
            self._was_up = True
            self.seconds.setdefault("start", 0.0 if self.reused else round(time.monotonic() - self._line_up_at, 3))
            self._remember(is_alive=True)
            self._happened(Happened.SERVER_UP)

    @property
    def trouble(self) -> FarlabError | None:
        """What is wrong with the session, as far as it is known; None where all is well."""
        if self.state is State.UP:
            return self._hung() if self.session.get("answers") is False else None
        return self.reason

    def _hung(self) -> NotAnswering:
        message = f"session `{self.target.name}` on `{self.target.host}` is alive but its server does not answer"
        return NotAnswering(message, hint=f"wait, or end it with `farlab terminate {self.target.host}`")

    def _not_answering(self) -> None:
        if not self._was_up and self.state is State.STARTING:
            self.reason = self._hung()
            self._happened(Happened.SERVER_ENDED)

    def _remember(self, *, is_alive: bool) -> None:
        self._memory = replace(self._memory, port=self.port, is_known_alive=is_alive)
        store.remember(self._memory)

    # time ------------------------------------------------------------------------------------------------

    async def _heartbeat(self) -> None:
        heard, wall = -1, time.time()
        while True:
            await asyncio.sleep(HEARTBEAT)
            woke = time.time() - wall > HEARTBEAT * 3
            wall = time.time()
            if woke:
                self._story.tell("this machine has slept")
                self.maker.hurry()
            if not self._carried:
                continue
            if heard != self.carrier.bytes_in:
                heard, self.last_heard = self.carrier.bytes_in, time.monotonic()
                if self.state is State.SILENT:
                    self._happened(Happened.HEARD)
                    self.maker.rest()
            elif (time.monotonic() - self.last_heard > SILENCE or woke) and self.state in (State.UP, State.STARTING):
                self._happened(Happened.SILENCE)
                self.maker.want(around_master=True)
            self.line.ping(struct.pack(">d", time.monotonic()))
            self.carrier.pump()

    def _happened(self, happened: Happened) -> None:
        before, self.state = self.state, states.after(self.state, happened)
        if before is not self.state:
            self.since = time.time()
            why = self.reason.message if self.reason and self.state in (State.ENDED, State.BLOCKED) else ""
            self._story.tell(f"{self.state} {why}")
        self.publish()

    @property
    def is_linking(self) -> bool:
        """Whether an `ssh` of ours may have a question now."""
        return self.state in (State.CONNECTING, State.ASKING, State.SILENT, State.DOWN)

    def asking(self, is_asking: bool) -> None:
        """`ssh` waits for a person, or does so no more."""
        if self.is_linking and (is_asking or self.state is not State.DOWN):
            self._happened(Happened.QUESTION if is_asking else Happened.ANSWERED)

    def tell(self, stage: str, text: str) -> None:
        """Progress, for whoever waits."""
        self.news = {"stage": stage, "text": text}
        self.publish()

    def publish(self) -> None:
        """Wake whoever watches the state."""
        self.changed.set()
        self.changed = asyncio.Event()

    def join(self, sock: socket.socket, head: bytes) -> int:
        """Give a connection that begins with `head` a stream to the server; returns its number."""
        stream = self.line.open("", head)
        self.carrier.join(stream, sock)
        self.carrier.pump()
        return stream
