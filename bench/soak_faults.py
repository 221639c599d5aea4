"""What may happen to a session in the bed. Each fault happens, is over, and says when that was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from soak_load import Load

from address import parent
from bed import Bed, Host, Laptop, processes

Process = processes.Process


@dataclass(frozen=True, slots=True)
class Place:
    """One session: its host, the load in it, and what to type."""

    alias: str
    name: str
    host: Host
    load: Load

    def on_host(self, words: str) -> Process | None:
        """Our own process on the host that has `words` in its command line; of several the last that began."""
        ours = [it for it in self.host.processes("alice") if it.argv[:1] != ("tmux",)]  # which has them, too
        found = [it for it in ours if words in " ".join(it.argv)]
        return max(found, key=lambda it: it.started) if found else None


UFW_LIMIT = (
    "-p tcp --dport 22 -m conntrack --ctstate NEW -m recent --name farlab --set",
    "-p tcp --dport 22 -m conntrack --ctstate NEW -m recent --name farlab --update --seconds 30 --hitcount 6 -j REJECT",
)
"""What `ufw limit 22/tcp` writes."""


class World:
    """Everything that faults happen to."""

    def __init__(self, bed: Bed, laptop: Laptop, places: tuple[Place, ...], seed: int) -> None:
        self.bed, self.laptop, self.places = bed, laptop, places
        self.rng = random.Random(seed)
        self.mendings: list[Callable[[], object]] = []
        """What is put right once a fault has been survived, or not."""

    def keeper(self, place: Place) -> Process | None:
        """By the port that it holds, which is its session's alone."""
        for it in self.laptop.processes():
            if "farlab.keeper" in it.argv and f"tcp 127.0.0.1:{place.load.address.port}" in _listened(it.pid):
                return it
        return None

    def link(self, place: Place) -> Process | None:
        """The `ssh` that the keeper has now."""
        keeper = self.keeper(place)
        found = [it for it in self.laptop.processes() if it.name == "ssh" and keeper and parent(it.pid) == keeper.pid]
        return max(found, key=lambda it: it.started) if found else None

    def pause(self, least: float, most: float) -> None:
        time.sleep(self.rng.uniform(least, most))


def _listened(pid: int) -> set[str]:
    """What this very process listens on, by the sockets that it has open."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{name}").removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    found = set()
    with open(f"/proc/{pid}/net/tcp") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(f"tcp 127.0.0.1:{int(fields[1].partition(':')[2], 16)}")
    return found


Happen = Callable[[World, Place], float]


def kill(process: Process | None) -> float:
    if process is not None:
        processes.end(process.pid, process.started)
    return time.time()


def ssh_killed(world: World, place: Place) -> float:
    return kill(world.link(place))


def agent_killed(world: World, place: Place) -> float:
    return kill(place.on_host("farlab-agent"))


def sshd_session_killed(world: World, place: Place) -> float:
    """The `sshd` of the person's own connection, the agent's parent (or its parent's)."""
    agent = place.on_host("farlab-agent")
    above = agent and processes.find(parent(agent.pid))
    while above and not above.name.startswith("sshd"):
        above = processes.find(parent(above.pid))
    return kill(above if above and above.uid else None)


def sshd_restarted(world: World, place: Place) -> float:
    """And the connection that stood is gone, too."""
    place.host.restart_sshd()
    return sshd_session_killed(world, place)


def anchor_killed(world: World, place: Place) -> float:
    return kill(place.on_host("farlab.host.anchor"))


def keeper_killed(world: World, place: Place) -> float:
    """The person types `connect` again."""
    moment = kill(world.keeper(place))
    _connect(world, place)
    return moment


def _connect(world: World, place: Place, **environ: str) -> None:
    words = ("connect", place.alias, "--name", place.name, "--no-browser", "--json")
    ran = world.laptop.farlab(*words, timeout=90, env=environ)
    if ran.code:
        place.load.account.offend(f"connect: {ran}")


def keeper_and_ssh_stopped(world: World, place: Place) -> float:
    """As when a laptop sleeps, but for its clock."""
    asleep = [it for it in (world.keeper(place), world.link(place)) if it is not None]
    for it in asleep:
        os.kill(it.pid, signal.SIGSTOP)
    try:
        world.pause(3, 40)
    finally:
        for it in asleep:
            os.kill(it.pid, signal.SIGCONT)
    return time.time()


def _blackhole(way: str, most: float) -> Happen:
    def happen(world: World, place: Place) -> float:
        world.bed.wan.blackhole(way)
        world.pause(1, most)
        world.bed.wan.blackhole("off")
        return time.time()

    return happen


def wifi_off_and_on(world: World, place: Place) -> float:
    world.bed.wifi(on=False)
    world.pause(1, 20)
    world.bed.wifi(on=True)
    return time.time()


def roamed(world: World, place: Place) -> float:
    world.bed.roam(f"10.80.0.{world.rng.randrange(100, 200)}")
    return time.time()


def bad_weather(world: World, place: Place) -> float:
    world.bed.wan.delay(world.rng.uniform(10, 120))
    world.bed.wan.jitter(world.rng.uniform(0, 20))
    world.bed.wan.loss(world.rng.uniform(0, 3))
    world.pause(5, 15)
    world.bed.wan.heal()
    return time.time()


def forgotten_by_a_nat(world: World, place: Place) -> float:
    """A box on the way forgets the connection: nothing of it passes any more, but others do."""
    door = world.bed.bastion if place.host is not world.bed.login else place.host
    laptop = ["nsenter", f"--net=/proc/{world.laptop.holder}/ns/net"]
    ss = [*laptop, "ss", "-Htn", "state", "established", f"dst {door.place.wan}", "and", "dport = :22"]
    shown = subprocess.run(ss, check=True, capture_output=True, text=True).stdout
    ports = {line.split()[2].rpartition(":")[2] for line in shown.splitlines()}
    if ports:
        them = f"{{ {', '.join(sorted(ports))} }} drop"
        rules = [
            "add table inet nat",
            "add chain inet nat in { type filter hook input priority 0; }",
            "add chain inet nat out { type filter hook output priority 0; }",
            f"add rule inet nat in tcp dport 22 tcp sport {them}",
            f"add rule inet nat out tcp sport 22 tcp dport {them}",
        ]
        ran = door.run("root", ["nft", ";".join(rules)])
        assert ran.returncode == 0, ran
    return time.time()


def jump_host_crashed(world: World, place: Place) -> float:
    world.bed.bastion.crash()
    world.pause(0.5, 8)
    world.bed.bastion.boot()
    return time.time()


def refused_by_a_firewall(world: World, place: Place) -> float:
    """`ufw limit 22/tcp` on the host, whose sshd is away for a while."""
    for rule in UFW_LIMIT:
        place.host.run("root", ["iptables-legacy", "-A", "INPUT", *rule.split()])
    world.mendings.append(lambda: place.host.run("root", ["iptables-legacy", "-F", "INPUT"]))
    place.host.run("root", ["sh", "-c", "kill $(cat /run/sshd.pid)"])
    kill(world.link(place))
    world.pause(2, 20)
    place.host.run("root", ["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])
    return time.time()


def _configured(world: World, text: str) -> None:
    """`text` stands before all else in the person's configuration until the fault is over."""
    path = world.laptop.home / ".ssh/config"
    before = path.read_text()
    path.write_text(text + before)
    world.mendings.append(lambda: path.write_text(before))


def configuration_half_written(world: World, place: Place) -> float:
    """As while an editor or another program writes it."""
    path = world.laptop.home / ".ssh/config"
    whole = path.read_text()
    path.write_text("Host *\n  HostNa")
    kill(world.link(place))
    world.pause(1, 10)
    path.write_text(whole)
    return time.time()


def token_of_another_terminal(world: World, place: Place) -> float:
    """What leads to the host wants a token that is in the environment of the next `connect` alone."""
    (world.laptop.home / "token").write_text("two\n")
    test = '[ "$TOKEN" = "$(cat ~/token)" ] || { echo expired >&2; exit 255; }'
    program = world.laptop.write_stub("proxy", f'#!/bin/sh\n{test}\nexec nc "$1" "$2"\n')
    _configured(world, f"Match originalhost {place.alias}\n  ProxyCommand {program} %h %p\n")
    kill(world.link(place))
    world.pause(2, 10)
    _connect(world, place, TOKEN="two")
    return time.time()


def another_host_key(world: World, place: Place) -> float:
    """A portal that answers everything, until the laptop is in another network."""
    with place.host.other_host_key():
        kill(world.link(place))
        world.pause(2, 10)
    return roamed(world, place)


def key_refused_and_renewed(world: World, place: Place) -> float:
    """As with a short-lived certificate: the host wants another key, which takes the old one's place bit by bit."""
    at, ssh = place.host.path("/etc/ssh/keys/alice"), world.laptop.home / ".ssh"
    accepted = at.read_text()
    made = world.laptop.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh / "new"))
    assert made.code == 0, made
    at.write_text((ssh / "new.pub").read_text())
    kill(world.link(place))
    world.pause(1, 10)
    for end in ("", ".pub"):
        (ssh / f"id_ed25519{end}").rename(ssh / f"old{end}")
        (ssh / f"new{end}").rename(ssh / f"id_ed25519{end}")
        world.pause(1, 3)
    moment = time.time()

    def mend() -> None:
        at.write_text(accepted)
        for end in ("", ".pub"):
            (ssh / f"old{end}").rename(ssh / f"id_ed25519{end}")

    world.mendings.append(mend)
    return moment


def no_ssh_for_a_moment(world: World, place: Place) -> float:
    """As while a package is upgraded."""
    program = world.laptop.write_stub("ssh", "#!/nonexistent\n")
    kill(world.link(place))
    world.pause(1, 10)
    program.unlink()
    return time.time()


def programs_that_leave_daemons(world: World, place: Place) -> float:
    """What `Match exec` and `ProxyCommand` start holds the descriptors of `ssh` for ever."""
    proxy = "sleep 7777 & exec nc -q 0 %h %p"
    match = f'Match originalhost {place.alias} exec "sleep 7777 & true"'
    _configured(world, f"{match}\n  ProxyCommand {proxy}\n")
    moment = kill(world.link(place))
    world.mendings.append(lambda: [kill(it) for it in world.laptop.processes() if it.argv == ("sleep", "7777")])
    return moment


FAULTS: dict[str, Happen] = {
    "ssh killed": ssh_killed,
    "agent killed": agent_killed,
    "sshd's session killed": sshd_session_killed,
    "sshd restarted, session killed": sshd_restarted,
    "black hole, both ways": _blackhole("on", 25),
    "black hole, upwards": _blackhole("up", 20),
    "black hole, downwards": _blackhole("down", 20),
    "wifi off and on": wifi_off_and_on,
    "another address": roamed,
    "delay, jitter, loss": bad_weather,
    "forgotten by a NAT": forgotten_by_a_nat,
    "keeper and ssh stopped": keeper_and_ssh_stopped,
    "jump host crashed": jump_host_crashed,
    "a firewall that refuses": refused_by_a_firewall,
    "configuration half written": configuration_half_written,
    "a token of another terminal": token_of_another_terminal,
    "another host key, then another network": another_host_key,
    "key refused, then renewed": key_refused_and_renewed,
    "no ssh for a moment": no_ssh_for_a_moment,
    "programs that leave daemons": programs_that_leave_daemons,
    "anchor killed": anchor_killed,
    "keeper killed": keeper_killed,
}
ANEW = ("anchor killed", "keeper killed")
"""Faults that a line does not survive: its connections begin anew."""
FIRST = (
    "a firewall that refuses",
    "a token of another terminal",
    "another host key, then another network",
    "key refused, then renewed",
    "programs that leave daemons",
)
"""Faults of the first session's host, and of the home on it."""
ONE = (
    *list(FAULTS)[:4],
    "keeper and ssh stopped",
    "configuration half written",
    "a token of another terminal",
    "no ssh for a moment",
    "programs that leave daemons",
    *ANEW,
)
"""Faults of one session; the others are everybody's."""
