"""The keeper's process: one mux to one session, and whatever it takes to keep it. asyncio, one thread.

It tells `policy` what happens and performs what that orders. It ends when it is told to, and when its first connection
fails: then nothing was begun.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..durations import WallClockMoment
from ..errors import FarlabError, NoSession
from ..model import State, Target
from ..mux import frames
from ..mux.mux import NOISE, UP, Event
from ..protocol.agent import Ensure
from ..protocol.mux_messages import SessionInfo, SessionMessage
from ..sanitize import shortened
from ..transport.base import Transport
from ..transport.from_host import failure, session_message
from ..transport.link import Link
from ..transport.process import LinkProcess
from . import events as ev
from . import notes
from .buffers import RemoteBuffer
from .connector import Connector
from .heartbeat import Heartbeat
from .link_state import LinkState, initial, unresponsive
from .local_state import LocalState
from .policy_runner import PolicyRunner
from .refusals import TELLING
from .sensors.network import has_address, source_address
from .sensors.sensors import Sensors
from .server_probe import ServerProbe
from .session_facts import SessionFacts
from .session_mux import SessionMux
from .timing import Timing

Message = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperSetup:
    """What a keeper begins with: `port` is bound already, `ask_socket` answers askpass, `dialed` is an `ssh` that was
    started already, `note` is for the user who connects first."""

    target: Target
    port: int
    transport: Transport
    ask_socket: str
    dialed: LinkProcess | None = None
    note: str = ""
    timing: Timing
    is_resumed: bool = False
    """Whether the session was connected until this machine was restarted, and no user asks for it now."""


class Keeper:
    """`on_next_request(stream, data)` is called when a browser sends the next request on a connection that has been
    answered; it returns what is sent."""

    def __init__(self, setup: KeeperSetup, *, on_next_request: Callable[[int, bytes], bytes]) -> None:
        self.target = setup.target
        self.local_state = LocalState(setup.target, setup.port)
        self.facts = SessionFacts(notes=(setup.note,) if setup.note else (), may_start=not setup.is_resumed)
        self.changed = asyncio.Event()
        """Set, and replaced by another, when there is something new."""
        self._transport = setup.transport
        self._heartbeat = Heartbeat()
        self._mux = SessionMux(on_event=self._on_mux_event, on_lost=self._on_link_lost, on_next_request=on_next_request)
        self._probe = ServerProbe(self._mux.open_stream, lambda: self._policy.handle(ev.Signal.SERVER_ANSWERED))
        self._policy = PolicyRunner(
            initial(setup.target, setup.timing, time.monotonic(), is_resumed=setup.is_resumed),
            moment=self._moment,
            perform=self._perform,
            on_decided=self._on_decided,
        )
        self._connector = Connector(
            setup.transport,
            setup.ask_socket,
            setup.dialed,
            handshake=self._handshake,
            on_failure=self._policy.handle,
            on_said=self.publish,
        )
        self._sensors = Sensors(setup.transport, setup.timing, self._policy.handle, self._on_network_change)
        self._orders: dict[ev.Order, Callable[[], None]] = {
            **self._sensors.orders,
            ev.Order.CANCEL_ATTEMPT: self._connector.cancel,
            ev.Order.END_LINK: self._end_link,
            ev.Order.REPLACE_MUX: self._mux.replace,
            ev.Order.SEND_PING: lambda: self._mux.ping(self._heartbeat.mark()),
            ev.Order.NOTE_HEARD: self._heartbeat.note_heard,
            ev.Order.SESSION_REACHED: self._session_reached,
            ev.Order.SESSION_GONE: lambda: self.local_state.save(is_alive=False),
        }

    # what users want -------------------------------------------------------------------------------------

    def adopt(self, environ: Mapping[str, str]) -> None:
        """This is the environment of the terminal where the user is now."""
        self._connector.adopt(environ)

    def connect(self, options: Message, *, may_ask: bool) -> None:
        """A user wants the session: try at once, whatever the state."""
        if self.state is State.UP:
            self.facts.found_up()
        self._connector.expect(float(options.get("timeout") or 0.0))
        self._mux.set_limits(self._mux.limits.with_options(options))
        self._policy.handle(ev.UserConnects(options=options, may_ask=may_ask))
        self.publish()

    def resume(self) -> None:
        """Be connected again to a session that was: a restart is a long sleep."""
        self.local_state.save(is_alive=self.local_state.saved.is_known_alive)
        self._policy.handle(ev.Ticked(slept="this machine was restarted"))

    def user_left(self) -> None:
        """Nobody is there any more to answer a question."""
        self._policy.handle(ev.Signal.USER_LEFT)

    def report_prompt(self, *, is_open: bool) -> None:
        """`ssh` asks the user something, or does so no more."""
        self._policy.handle(ev.Prompted(is_open=is_open))

    def decline(self) -> None:
        """The user does not answer: end the `ssh` at once, since each empty answer counts as a failed login."""
        self._policy.handle(ev.Signal.USER_DECLINED)

    def end_session(self) -> None:
        """Ask the anchor to end the session."""
        self._mux.send({"stop": True})

    def tell(self, what: str, text: str) -> None:
        """Log it, and tell the user who connects next, unless `what` was told before."""
        self.facts.notes += self.local_state.log_once(what, text)

    def take_notes(self) -> tuple[str, ...]:
        """What a user who connects should know; each is returned once."""
        found, self.facts.notes = self.facts.notes, ()
        return found

    async def stop(self) -> None:
        """Make no more links."""
        self._sensors.stop()
        self._probe.stop()
        await self._connector.close()

    async def close(self, message: Message) -> None:
        """Say goodbye and let go of everything."""
        if self._mux.is_linked:
            self._mux.send(message)
            await asyncio.sleep(0)
        if link := self._mux.close():
            self._connector.end(link)
        await self._connector.close()

    # what is known ---------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port of the address."""
        return self.local_state.port

    @property
    def state(self) -> State:
        """What the keeper is about."""
        return self._policy.state.state

    @property
    def since(self) -> float:
        """Unix time at which the state was entered."""
        return self.facts.entered.unix

    @property
    def reason(self) -> FarlabError | None:
        """Why the session cannot be reached, as far as it is known."""
        return self._policy.state.reason

    @property
    def trouble(self) -> FarlabError | None:
        """What is wrong with the session, as far as it is known; None where all is well."""
        if self.state is State.UP:
            return None if self.facts.session.answers else unresponsive(self.target)
        return self.reason

    @property
    def said(self) -> list[str]:
        """What the attempt under way has said while it does not answer; another list for another attempt."""
        return self._connector.said

    @property
    def next_attempt(self) -> str:
        """The time of day of the next attempt at a host that may be shutting this address out; "" elsewhere."""
        state = self._policy.state
        is_silent = not state.refusals.count and state.refusals.not_before > time.monotonic()
        if state.attempts.due is None or not (is_silent or state.refusals.count >= TELLING):
            return ""
        return time.strftime("%H:%M:%S", time.localtime(time.time() + state.attempts.due - time.monotonic()))

    @property
    def was_up(self) -> bool:
        """Whether this keeper has ever reached its session."""
        return self._policy.state.was_up

    @property
    def failed_attempts(self) -> int:
        """How many attempts at a link have failed."""
        return self._policy.state.failed_attempts

    @property
    def may_prompt(self) -> bool:
        """Whether an `ssh` of ours may have a question now."""
        return self._policy.state.may_prompt

    @property
    def session(self) -> SessionInfo:
        """The session as its anchor described it last."""
        return self.facts.session

    @property
    def last_heard(self) -> float | None:
        """Unix time of the last sign of life; None before the first."""
        return self._heartbeat.last_heard

    @property
    def outage_seconds(self) -> float:
        """How long the present outage has lasted; 0 where there is none."""
        return self._policy.state.outages.duration(time.monotonic())

    def status_facts(self) -> Message:
        """What `SessionStatus` says of the link and the buffers, by its names."""
        known = self._policy.state
        return {
            **self._mux.facts(known.state, self.facts.remote_buffer),
            "last_heard": self.last_heard,
            "round_trip": known.liveness.detector.round_trip,
            "outages": known.outages.count,
            "longest_outage": round(known.outages.longest_until(time.monotonic()), 3),
        }

    def publish(self) -> None:
        """Wake those that wait for something new."""
        self.changed.set()
        self.changed = asyncio.Event()

    # streams ---------------------------------------------------------------------------------------------

    def open_stream(self, sock: socket.socket, head: bytes, destination: str = "") -> int:
        """Give a connection that begins with `head` a stream to the server, or to what is named; returns its number."""
        return self._mux.open_stream(sock, head, destination)

    def is_unanswered(self, stream: int) -> bool:
        """Whether nothing has come for that stream yet."""
        return self._mux.is_unanswered(stream)

    def take_back(self, stream: int) -> socket.socket | None:
        """Give a connection back that has not been answered; its stream ends."""
        return self._mux.take_back(stream)

    # the policy ------------------------------------------------------------------------------------------

    def _moment(self) -> ev.Moment:
        return ev.Moment(
            at=time.monotonic(),
            chance=random.random(),  # noqa: S311 - it only spreads keepers out
            bytes_in=self._mux.bytes_heard,
            is_backlogged=self._mux.is_backlogged,
        )

    def _on_decided(self, before: LinkState, after: LinkState) -> None:
        self._sensors.clock.set(after.next_tick(time.monotonic()))
        if before.state is not after.state:
            self.facts.entered = WallClockMoment()
        if before.is_news(after):
            self.publish()

    def _perform(self, action: ev.Action) -> None:
        match action:
            case ev.Connect():
                self._connector.start(action)
            case ev.Probe():
                self._sensors.probe(action)
            case ev.TakeRequest():
                if action.is_new:
                    self._probe.stop()
                self.facts.take_request(action.options, is_new=action.is_new)
            case ev.Log():
                self.local_state.log(action.text)
            case ev.Order():
                self._orders[action]()

    def _end_link(self) -> None:
        if link := self._mux.drop():
            self._connector.end(link)

    def _session_reached(self) -> None:
        self.local_state.log(f"session `{self.target.name}` on `{self.target.host}` is up")
        self.facts.reached()
        self.local_state.save(is_alive=True, session=self.session)

    # what happens ----------------------------------------------------------------------------------------

    async def _handshake(self, link: Link) -> None:
        """Let the agent find or start the session and join the mux to it; the link carries it from then on."""
        began = time.monotonic()
        self._report_progress("link", "connecting")
        if not self.was_up:
            self._probe.start()  # the request goes with the first bytes
        facts = self.facts
        request = Ensure(
            op="ensure",
            name=self.target.name,
            wish=facts.options,
            timing=dict(self._policy.state.timing.host) or None,
            existing=not facts.may_start,
            node=facts.session.node or self.local_state.saved.node,
        )
        is_likely_alive = self.was_up or self.local_state.saved.is_known_alive
        token, joined = await self._mux.handshake(link, request, self._report_progress, is_likely_alive=is_likely_alive)
        self.facts.joined(began, reused=joined.reused)
        if joined.elsewhere and not joined.reused:
            self.facts.notes += (notes.on_other_nodes(self.target, joined.elsewhere),)
        source = source_address(self._policy.state.liveness.endpoints)
        self._policy.handle(ev.LinkJoined(source=source, is_shared=self._connector.is_shared(link)))
        if old := self._mux.carry(link, token):  # nothing was heard over it, and it is given up for this one
            self._connector.end(old)

    def _on_link_lost(self, link: Link | None, reason: str) -> None:
        is_protocol_error = reason.startswith("protocol")
        if link is not None:
            reason = link.last_line or reason
            self._connector.end(link)
        self._policy.handle(ev.LinkEnded(reason=reason, is_protocol_error=is_protocol_error))

    def _on_network_change(self) -> None:
        self._transport.outdate()
        known = self._policy.state.liveness
        source, linked_from = source_address(known.endpoints), known.linked_from
        is_cut_off = linked_from is not None and not has_address(linked_from)
        self._policy.handle(ev.NetworkChanged(source=source, is_link_cut_off=is_cut_off))

    def _on_mux_event(self, event: Event) -> None:
        if self.state is State.ENDED:
            return  # the rest of what came with that word
        if event.kind == UP:
            if not event.data:
                # with the node's name: two machines may share a home
                laptop = f"{self.local_state.saved.laptop}@{os.uname().nodename}"
                self._mux.send({"laptop": laptop, **self._mux.limits.message()})
            self._policy.handle(ev.LinkGreeted(is_resumed=bool(event.data)))
        elif event.kind == NOISE:
            self.tell("noise", notes.background_output(self.target.host, event.data))
        elif event.kind == frames.PONG:
            round_trip = self._heartbeat.answered(event.data)
            if round_trip is not None:
                self._policy.handle(ev.PingAnswered(round_trip=round_trip))
        elif event.kind == frames.MESSAGE and "session" in event.data:
            self._on_session_message(session_message(event.data))

    def _on_session_message(self, message: SessionMessage) -> None:
        """The anchor describes the session, and how the mux fares there."""
        session = message.session
        self.facts.described(session)
        self.facts.remote_buffer = RemoteBuffer.of(message.line, time.time())
        if session.state == "starting":
            self._policy.handle(ev.Signal.SESSION_STARTING)
            self._report_progress("start", session.stage)
        elif session.state == "ended" and session.error:
            error = failure(session.error, self.target.host)
            has_run = session.error.code in ("ended", "terminated")
            ended = NoSession(error.message, detail=error.detail) if has_run else error
            self._policy.handle(ev.SessionEnded(error=ended))
        elif session.state == "up":
            self._policy.handle(ev.Signal.SESSION_UP)
        self.publish()

    def _report_progress(self, stage: str, text: str) -> None:
        self.facts.progress = {"stage": stage[:40], "text": shortened(text, 200)}
        self.publish()
