"""The bed's wires: a wide-area network in front of bastion and login, a local one behind them.

    laptop .2 ──wan.py── br-wan ── bastion .10, login .11      10.80.0.0/24  fd80::/64
                         br-lan ── bastion, login, node1 .21, node2 .22   10.80.1.0/24

Every host, the laptop and the switch have a network namespace `BED-NAME` of their own. Nothing has a route out.
"""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a host is plugged in: the last number of its addresses, and on which nets."""

    number: int
    on_wan: bool
    on_lan: bool = True

    @property
    def wan(self) -> str:
        return f"10.80.0.{self.number}"

    @property
    def wan6(self) -> str:
        return f"fd80::{self.number}"

    @property
    def lan(self) -> str:
        return f"10.80.1.{self.number}"

    @property
    def nets(self) -> tuple[str, ...]:
        return (("wan",) if self.on_wan else ()) + (("lan",) if self.on_lan else ())


PLACES = {
    "bastion": Place(number=10, on_wan=True),
    "login": Place(number=11, on_wan=True),
    "node1": Place(number=21, on_wan=False),
    "node2": Place(number=22, on_wan=False),
}
LAPTOP = Place(number=2, on_wan=True, on_lan=False)


class NetworkError(Exception):
    """`ip` or the WAN program refused."""


def ip(*lines: str, namespace: str = "") -> None:
    """Run lines of ip(8) in one batch, in a network namespace."""
    where = ["-n", namespace] if namespace else []
    ran = subprocess.run(["ip", *where, "-batch", "-"], input="\n".join(lines), text=True, capture_output=True)
    if ran.returncode:
        raise NetworkError(ran.stderr)


def lay(bed: str) -> None:
    """Make the namespaces and wires of a bed of that name; `unlay` removes all of it."""
    names = ("switch", "laptop", *PLACES)
    ip(*(f"netns add {bed}-{name}" for name in names))
    for name in ("laptop", *PLACES):
        ip("link set lo up", namespace=f"{bed}-{name}")
    ip(
        *(f"link add br-{net} type bridge mcast_snooping 0\nlink set br-{net} up" for net in ("wan", "lan")),
        *(
            f"link add {name}-{net} type veth peer name {net} netns {bed}-{name}\n"
            f"link set {name}-{net} master br-{net} up"
            for name, place in PLACES.items()
            for net in place.nets
        ),
        "tuntap add dev laptop-wan mode tap\nlink set laptop-wan master br-wan up",
        namespace=f"{bed}-switch",
    )
    ip("tuntap add dev wan mode tap\n", namespace=f"{bed}-laptop")
    for name, place in (("laptop", LAPTOP), *PLACES.items()):
        ip(*_addresses(place), *(f"link set {net} up" for net in place.nets), namespace=f"{bed}-{name}")


def _addresses(place: Place) -> list[str]:
    """`nodad`: duplicate address detection would hold an IPv6 address back for a second."""
    wan = [f"addr add {place.wan}/24 dev wan", f"addr add {place.wan6}/64 dev wan nodad"] if place.on_wan else []
    return wan + ([f"addr add {place.lan}/24 dev lan"] if place.on_lan else [])


def unlay(bed: str) -> None:
    """Remove a bed's namespaces, and with them every wire."""
    for entry in sorted(Path("/run/netns").glob(f"{bed}-*")):
        subprocess.run(["ip", "netns", "del", entry.name], check=True, capture_output=True)


def plug(bed: str, name: str, *, connected: bool) -> None:
    """Pull a host's cables out of the switch, or put them back."""
    word = "up" if connected else "down"
    ip(*(f"link set {name}-{net} {word}" for net in PLACES[name].nets), namespace=f"{bed}-switch")


def wifi(bed: str, *, on: bool) -> None:
    """The laptop's own interface. Switching it off loses its IPv6 address, so that is given again."""
    lines = ["link set wan up", f"addr replace {LAPTOP.wan6}/64 dev wan nodad"] if on else ["link set wan down"]
    ip(*lines, namespace=f"{bed}-laptop")


def roam(bed: str, address: str) -> None:
    """Give the laptop another IPv4 address; connections from the old one are dead without a word."""
    ip(
        "addr flush dev wan scope global",
        f"addr add {address}/24 dev wan",
        f"addr add {LAPTOP.wan6}/64 dev wan nodad",
        namespace=f"{bed}-laptop",
    )


def laptop_address(bed: str) -> str:
    """The laptop's IPv4 address of now, "" for none."""
    ip4 = ["ip", "-n", f"{bed}-laptop", "-4", "-json", "addr", "show", "dev", "wan"]
    shown = json.loads(subprocess.run(ip4, check=True, capture_output=True).stdout)
    found = [address["local"] for link in shown for address in link.get("addr_info", ())]
    return found[0] if found else ""


def cut_connections(bed: str, name: str) -> None:
    """Close every SSH connection a host has, as a user's kernel would after a reset (ss(8), `-K`)."""
    ss = ["ip", "netns", "exec", f"{bed}-{name}", "ss", "-K", "-H", "state", "established"]
    subprocess.run([*ss, "( sport = :22 or sport = :2222 )"], check=True, capture_output=True)


class Wan:
    """The link between the laptop and everything else; see `wan.py` for what it can do."""

    def __init__(self, control: Path) -> None:
        self._control = control

    def delay(self, milliseconds: float) -> None:
        """One way; the round trip is twice that."""
        self.tell("delay", milliseconds)

    def jitter(self, milliseconds: float) -> None:
        self.tell("jitter", milliseconds)

    def loss(self, percent: float) -> None:
        self.tell("loss", percent)

    def rate(self, megabits: float) -> None:
        """Megabits per second each way; 0 is no limit."""
        self.tell("rate", megabits)

    def blackhole(self, which: str = "on") -> None:
        """`on`, `off`, `up` (from the laptop is lost) or `down` (to the laptop is lost); nobody is told."""
        self.tell("blackhole", which)

    def heal(self) -> None:
        """No delay, no loss, no limit, no hole."""
        self.tell("heal")

    def stats(self) -> dict[str, object]:
        """The link's settings, and per way frames passed, lost and queued."""
        return self.tell("stats")

    def tell(self, *words: object) -> dict[str, object]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self._control))
            connection.sendall(" ".join(map(str, words)).encode() + b"\n")
            answer: dict[str, object] = json.loads(connection.makefile().readline())
        if "error" in answer:
            raise NetworkError(f"wan {words}: {answer['error']}")
        return answer
