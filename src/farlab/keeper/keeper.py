"""The keeper's process: one line to one session, and whatever it takes to keep it. asyncio, one thread.

It feeds what happens to `states` and does what the new state asks for. It ends when it is told to, and when its
first connection fails: then nothing was begun.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

from ..advice import command
from ..durations import WallClockMoment
from ..errors import Authentication, CannotAsk, FarlabError, LinkLost, NoSession
from ..model import State, Target
from ..mux import frames
from ..mux.driver import MuxDriver
from ..mux.mux import NOISE, UP, Event, Mux
from ..protocol.agent import Ensure
from ..protocol.mux_messages import SessionInfo, SessionMessage
from ..sanitize import shortened
from ..transport.base import Transport
from ..transport.from_host import failure, session_message
from ..transport.handshake import handshake
from ..transport.link import Link
from ..transport.process import LinkProcess
from . import notes, server_probe, states
from .buffers import BufferLimits, RemoteBuffer
from .connector import Connector
from .local_state import LocalState
from .outages import how_it_goes_on
from .recovery import Recovery
from .sensors.ssh_agent import SshAgentWatcher
from .states import Happened

TRY_TIMEOUT = 60.0
"""Seconds that one try for another link may take."""
SETTLED = 5.0
"""Seconds after which a link counts as one that works: when it ends, the next is made at once."""
_FINAL = (1, 2, 5, 130)
"""Exit statuses of errors after which only a person can help a session that was up: a login that was refused is not
tried again by itself. Whatever else is wrong with a host may pass."""
_EARLY = 8192
"""Bytes of the line that travel with the request, before the agent has answered."""

Words = dict[str, Any]


class Keeper:
    """`port` is bound already; `ask_socket` answers askpass; `dialed` is an `ssh` that was started already.

    `on_next_request(stream, data)` is called when a browser sends the next request on a connection that has been
    answered; it returns what is sent. `note` is for whoever connects first.
    """

    def __init__(
        self,
        target: Target,
        port: int,
        transport: Transport,
        ask_socket: str,
        dialed: LinkProcess | None = None,
        *,
        on_next_request: Callable[[int, bytes], bytes],
        note: str = "",
    ) -> None:
        self.target, self.port, self.transport = target, port, transport
        self._on_next_request = on_next_request
        self.loop = asyncio.get_running_loop()
        self.state, self._entered = State.CONNECTING, WallClockMoment()
        self.session = SessionInfo()
        """What the anchor told last."""
        self.reason: FarlabError | None = None
        self.seconds: dict[str, float] = {}
        self.reused = False
        self.failed_attempts = 0
        self.wish: Words = {}
        self._notes: tuple[str, ...] = (note,) if note else ()
        self.changed = asyncio.Event()
        self.progress: Words = {}
        """What was reported last."""
        self.limits = BufferLimits()
        self.remote_buffer = RemoteBuffer()
        self.maker = Connector(transport, ask_socket, dialed)
        self.maker.join, self.maker.failed = self._join, self._failed
        self.local_state = LocalState(target, port)
        self.recovery = Recovery(self)
        self._key_watch = SshAgentWatcher(self._keys_changed)
        self._was_up = False
        self._broken = self._short_lived = 0
        """Links in a row that broke the protocol; that ended before they had lasted."""
        self._carried: Link | None = None
        self._ended_links: set[asyncio.Task[None]] = set()
        self._may_begin = True
        """Whether a session that is not there may be started: only for a person who connects."""
        self._check: asyncio.Task[None] | None = None
        self._answered = False
        self._line_up_at = 0.0
        self.is_greeted = False
        """Whether the other end has answered over the link of now, or of last."""
        self._begin_line()

    def _begin_line(self) -> None:
        self.line = Mux(secrets.token_hex(16), True, self.limits.laptop)
        self.carrier = MuxDriver(self.loop, self.line, self._event, self._lost)
        self.carrier.on_turn = self._on_next_request

    @property
    def was_up(self) -> bool:
        """Whether this keeper has ever reached its session."""
        return self._was_up

    @property
    def since(self) -> float:
        """Unix time at which the state was entered."""
        return self._entered.unix

    @property
    def is_linked(self) -> bool:
        """Whether a link carries the line."""
        return self._carried is not None

    # what people want ------------------------------------------------------------------------------------

    def connect(self, wish: Words, *, may_ask: bool) -> None:
        """A user wants the session: try at once, whatever the state."""
        if self.state is State.UP:  # it is there: nothing was waited for
            self.reused, self.seconds = True, {"link": 0.0, "start": 0.0}
        self._keep(self.limits.but(wish))
        can_help = self.state is State.SILENT and may_ask and self.recovery.needs_person
        is_at_work = self._carried is not None and self.is_greeted
        if self.state in (State.UP, State.STARTING, State.SILENT) and is_at_work and not can_help:
            return
        self.recovery.needs_person = False
        self.wish = wish
        self.reason = None
        if self.state is State.ENDED:
            self._was_up = self._answered = False
            self.session, self.seconds = SessionInfo(), {}
        self._may_begin = True
        self.happened(Happened.PERSON_CONNECTS)
        self.maker.person_wants(may_ask=may_ask, around_master=can_help or None)

    def _keep(self, limits: BufferLimits) -> None:
        """A new word on what is kept holds at once, on a line that stands too."""
        if limits != self.limits:
            self.limits, self.line.limit = limits, limits.laptop
            if self.line.life:  # else it is told with the first message
                self.line.message(limits.message())
            self.carrier.pump()

    async def keep(self) -> None:
        """Make links for as long as one is wanted. Ends only by being cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.recovery.pulse.run())
            tasks.create_task(self.maker.run())

    async def close(self, *, message: dict[str, object] | None = None) -> None:
        """Say goodbye and let go of everything."""
        if self._carried:
            self.line.message(message if message is not None else {"bye": True})
            self.carrier.pump()
            await asyncio.sleep(0)
        self._key_watch.stop()
        self.carrier.close()
        if self._carried:
            await self._carried.end()
        await asyncio.gather(*self._ended_links, return_exceptions=True)

    # what the control server and the local site need -----------------------------------------------------

    def user_left(self) -> None:
        """Nobody is there any more to answer a question."""
        self.maker.person_left()

    def decline(self) -> None:
        """The user does not answer: end the `ssh` at once, since each empty answer counts as a failed login."""
        self.maker.decline()

    def take_notes(self) -> tuple[str, ...]:
        """What whoever connects should know; each is returned once."""
        notes, self._notes = self._notes, ()
        return notes

    def end_session(self) -> None:
        """Ask the anchor to end the session."""
        self.line.message({"stop": True})
        self.carrier.pump()

    def status_facts(self) -> Words:
        """What `SessionStatus` says of the link and the buffers, by its names."""
        return {
            "streams": len(self.line.streams),
            "bytes_in": self.carrier.bytes_in,
            "bytes_out": self.carrier.bytes_out,
            "bytes_held": self.line.held,
            **self.limits.status(self.state, self.carrier, self.remote_buffer),
            "last_heard": self.last_heard,
            "round_trip": self.recovery.pulse.watch.round_trip,
            "outages": self.recovery.outages.count,
            "longest_outage": round(self.recovery.outages.longest_until(time.monotonic()), 3),
        }

    @property
    def last_heard(self) -> float | None:
        """Unix time of the last sign of life; None before the first."""
        return self.recovery.last_heard

    @property
    def outage_seconds(self) -> float:
        """How long the present outage has lasted; 0 where there is none."""
        return self.recovery.outages.lasts(time.monotonic())

    def is_unanswered(self, stream: int) -> bool:
        """Whether nothing has come for that stream yet."""
        return self.carrier.is_unanswered(stream)

    def take_back(self, stream: int) -> socket.socket | None:
        """Give a connection back that has not been answered; its stream ends."""
        taken = self.carrier.take_back(stream)
        return taken if isinstance(taken, socket.socket) else None

    # links -----------------------------------------------------------------------------------------------

    async def _join(self, link: Link) -> None:
        """Let the agent find or start the session and join the line to it; the link carries it from then on."""
        began = time.monotonic()
        self.report_progress("link", "connecting")
        if not self._was_up and self._check is None:
            self._begin_check()
        # beside a silent link the line goes on over that one until the agent has joined the new one
        token = None if self._carried else self.line.attach()
        early = b"" if token is None else b"".join(self.line.data_to_send(token, _EARLY))
        request = Ensure(op="ensure", name=self.target.name, wish=self.wish, existing=not self._may_begin)
        is_likely_alive = self._was_up or self.local_state.saved.is_known_alive
        try:
            joined = await handshake(link, request, early, self.report_progress, is_likely_alive=is_likely_alive)
        except BaseException:
            if token is not None:
                self.line.detach(token)
            raise
        self.reused = joined.reused
        if token is None or joined.mux != frames.VERSION:
            token = self.line.attach(joined.mux)
        self._line_up(link, token, began)

    def _line_up(self, link: Link, token: int, began: float) -> None:
        """The agent has joined the link: it carries the line from here on."""
        old, self._carried = self._carried, link
        if old:  # it was silent, and is given up for this one
            self._let_end(old)
        self.maker.rest()
        self._may_begin = False
        self.seconds.setdefault("link", round(time.monotonic() - began, 3))
        self._line_up_at, self.is_greeted = time.monotonic(), False
        self.recovery.linked()
        self.carrier.carry(token, *link.release())

    def _lost(self, reason: str) -> None:
        """The link that carried the line has ended."""
        link, self._carried = self._carried, None
        words = reason
        if link:
            words = link.last_line or reason
            self._let_end(link)
        self._broken = self._broken + 1 if reason.startswith("protocol") else 0
        if self._broken > 1:  # the two ends do not agree on what was said: begin anew
            self.carrier.close()
            self._begin_line()
        if self.state is not State.ENDED:
            self.maker.want(around_master=link.spec.bypass_master if link else None)  # a dead master is dead still
            self._count_lost(words)
        self.publish()

    def _count_lost(self, reason: str) -> None:
        """A link that ended at once, or was never greeted, was a failed try, lest a host that drops each is stormed."""
        if self.is_greeted or self._was_up or self.state is State.STARTING:
            self.recovery.outages.begin(time.monotonic(), f"{reason}; reconnecting")
            self._short_lived = 0 if self._has_lasted else self._short_lived + 1
            self.maker.failures = self._short_lived
            self.happened(Happened.LINK_LOST)
        else:
            message = f"the connection to `{self.target.host}` ended before the session answered"
            self._failed(LinkLost(message, detail=reason))

    @property
    def _has_lasted(self) -> bool:
        """Whether the present link has carried the line for long enough to count as one that works."""
        return self.is_greeted and time.monotonic() - self._line_up_at > SETTLED

    def _let_end(self, link: Link) -> None:
        task = self.loop.create_task(link.end())
        self._ended_links.add(task)
        task.add_done_callback(self._ended_links.discard)

    def _failed(self, error: FarlabError) -> None:
        """A link could not be made."""
        if isinstance(error, NoSession) and self._was_up:
            self.failed_attempts += 1
            self._end(error)
            return
        is_second = self._carried is not None  # the first may speak yet
        if self._was_up or not is_second:
            self.failed_attempts += 1
            self.reason = self.reason if self.state is State.ENDED else error
        is_passing = (self._was_up or is_second) and error.exit_status not in _FINAL
        if is_passing:
            self.recovery.outages.failed(error)
        else:
            self.local_state.log(f"cannot connect: {error.message} {error.detail}")
        if is_second:
            self.recovery.needs_person = not is_passing
            if not is_passing or self.state is not State.SILENT:
                self.maker.rest()
        elif is_passing:
            self.happened(Happened.LINK_LOST)
        else:
            self.maker.rest()
            self.happened(Happened.REFUSED)

    # what the line brings --------------------------------------------------------------------------------

    def _event(self, event: Event) -> None:
        if self.state is State.ENDED:
            return  # the rest of what came with that word
        if event.kind == UP:
            self._broken = 0
            self.is_greeted = True
            self.maker.failures = self._short_lived  # what failed before it is over
            if not event.data:
                # with the node's name: two machines may share a home
                laptop = f"{self.local_state.saved.laptop}@{os.uname().nodename}"
                self.line.message({"laptop": laptop, **self.limits.message()})
            self.happened(Happened.LINE_UP)
            self.recovery.pulse.greeted()
            self.recovery.outages.end(time.monotonic(), how_it_goes_on(is_same=bool(event.data)))
        elif event.kind == NOISE:
            self._notes += self.local_state.log_once("noise", notes.background_output(self.target.host, event.data))
        elif event.kind == frames.PONG:
            self.recovery.answered(event.data)
        elif event.kind == frames.MESSAGE and "session" in event.data:
            self._told(session_message(event.data))

    def _told(self, message: SessionMessage) -> None:
        """The anchor describes the session, and how the line fares there."""
        self.session = told = message.session
        self.remote_buffer = RemoteBuffer.of(message.line, time.time())
        if told.state == "starting":
            self.happened(Happened.SERVER_STARTING)
            self.report_progress("start", told.stage)
        elif told.state == "ended" and told.error:
            error = failure(told.error, self.target.host)
            has_run = told.error.code in ("ended", "terminated")
            self._end(NoSession(error.message, detail=error.detail) if has_run else error)
        elif told.state == "up" and self._was_up:
            self.happened(Happened.SERVER_UP)
        elif told.state == "up":
            self.loop.call_later(server_probe.TIMEOUT, self._not_answering, self._line_up_at)
            self._reached()

    def _end(self, error: FarlabError) -> None:
        self.reason = error
        self.maker.rest()
        self.recovery.outages.end(time.monotonic(), "the host is reachable again")
        if self._was_up:
            self.local_state.save(is_alive=False)
        self.carrier.drop()
        if self._carried:
            self._let_end(self._carried)
            self._carried = None
        self.happened(Happened.SERVER_ENDED)

    def _begin_check(self) -> None:
        """Ask the server something through all of it; the question travels with the greeting."""
        ours, theirs = socket.socketpair()
        self.carrier.join(self.line.open("", server_probe.QUESTION), theirs)
        self._check = self.loop.create_task(self._await_check(ours))

    async def _await_check(self, sock: socket.socket) -> None:
        self._answered = await server_probe.answered(sock) or self._answered
        self._check = None
        self._reached()

    def _reached(self) -> None:
        """Up is what has answered and has said so."""
        if self._answered and self.session.state == "up" and not self._was_up:
            self._was_up = True
            self.maker.patience = TRY_TIMEOUT
            self.local_state.log(f"session `{self.target.name}` on `{self.target.host}` is up")
            self.recovery.pulse.reached()
            self.seconds.setdefault("start", 0.0 if self.reused else round(time.monotonic() - self._line_up_at, 3))
            self.local_state.save(is_alive=True)
            self.happened(Happened.SERVER_UP)

    @property
    def trouble(self) -> FarlabError | None:
        """What is wrong with the session, as far as it is known; None where all is well."""
        if self.state is State.UP:
            return None if self.session.answers else server_probe.hung(self.target)
        return self.reason

    def _not_answering(self, line_up_at: float) -> None:
        if not self._was_up and self.state is State.STARTING and line_up_at == self._line_up_at:
            self.reason = server_probe.hung(self.target)
            self.happened(Happened.SERVER_ENDED)

    # states ----------------------------------------------------------------------------------------------

    def happened(self, happened: Happened) -> None:
        before, self.state = self.state, states.after(self.state, happened)
        if happened is Happened.SILENCE and self._has_lasted:
            self._short_lived = self.maker.failures = 0
        if before is not self.state:
            self._entered = WallClockMoment()
            if self.state is State.UP:
                self.reason = None
            self._key_watch.stop()
            self._tell_state()
        self.publish()

    def _keys_changed(self) -> None:
        """The person's agent has other keys than when the host refused, or there is a new master: worth one try."""
        self.local_state.log("the keys in ssh-agent or your ControlMaster changed; retrying")
        self.maker.failures, self.maker.is_refused_around = 0, False
        self.happened(Happened.KEYS_CHANGED)
        self.maker.want(around_master=False)  # by way of the master first
        self.maker.hurry()

    def _tell_state(self) -> None:
        """What a person needs to know of a new state beside what `outages` tells."""
        why = self.reason.message if self.reason else ""
        if self.state is State.BLOCKED:
            self.local_state.log(f"action required: {why}; run `{command(self.target, 'connect')}` in a terminal")
            if isinstance(self.reason, (Authentication, CannotAsk)):
                self._key_watch.start(self.transport.unlocked())
        elif self.state is State.ENDED:
            self.local_state.log(f"session ended: {why}")

    @property
    def may_prompt(self) -> bool:
        """Whether an `ssh` of ours may have a question now."""
        return self.state in (State.CONNECTING, State.ASKING, State.SILENT, State.DOWN)

    def report_prompt(self, *, is_open: bool) -> None:
        """`ssh` waits for a person, or does so no more."""
        if self.may_prompt and (is_open or self.state is not State.DOWN):
            self.happened(Happened.QUESTION if is_open else Happened.ANSWERED)

    def report_progress(self, stage: str, text: str) -> None:
        """Progress, for whoever waits."""
        self.progress = {"stage": stage[:40], "text": shortened(text, 200)}
        self.publish()

    def publish(self) -> None:
        """Wake whoever watches the state."""
        self.changed.set()
        self.changed = asyncio.Event()

    def open_stream(self, sock: socket.socket, head: bytes) -> int:
        """Give a connection that begins with `head` a stream to the server; returns its number."""
        stream = self.line.open("", head)
        self.carrier.join(stream, sock)
        self.carrier.pump()
        return stream
