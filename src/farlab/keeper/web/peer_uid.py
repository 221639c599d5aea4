"""Finds which user's program is at the other end of a loopback connection. Linux only.

It asks the kernel for that one socket (NETLINK_SOCK_DIAG, sock_diag(7)), which takes microseconds however many sockets
there are. Where the kernel does not answer, it reads `/proc/net/tcp` and `tcp6` (proc(5)). It tries both with a socket
that is known to be ours: a kernel without the module answers as if there were no such socket.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum, auto

NO_UID = -1
"""The answer for a connection whose other end is closed already, or is in no table of this system."""
Address = tuple[str, int]
"""What `getsockname` begins with, in both families."""

_SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 20, 1  # linux/sock_diag.h, linux/netlink.h
_NETLINK_SOCK_DIAG = 4
_ANY = 0xFFFFFFFF
"""Every state; every cookie."""
_HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
_REQUEST = struct.Struct("=BBBBI2s2s16s16sIII")
"""struct inet_diag_req_v2: family, protocol, extensions, padding, states; then a socket's identity: its port and its
peer's, its address and its peer's, interface, cookie."""
_ANSWER = struct.Struct("=BBBB2s2s16s16s3I3III")
"""struct inet_diag_msg: family, state, timer, retransmits; the identity; expiry and two queues; user, inode."""
_MAPPED = bytes(10) + b"\xff\xff"
"""What stands before an IPv4 address in a socket of IPv6: a program may connect by such a one."""
_IS_WSL = "microsoft" in os.uname().release.lower()
"""There a browser of Windows may be at the other end, and Linux knows nothing of its sockets."""

Lookup = Callable[[Address, Address], int]
"""The user whose socket has the first address and is connected to the second, or NO_UID. Raises OSError."""


class PeerUser(Enum):
    """Who is at the other end of a connection."""

    US = auto()
    """This user or root; or nobody can tell."""
    GONE = auto()
    """The other end is closed already: nobody can tell whose it was, and nobody waits for an answer."""
    OTHER = auto()


class PeerIdentifier:
    """Identifies the peers of one listening socket of ours."""

    def __init__(self, listener: socket.socket) -> None:
        self._lookup = _choose(_host_and_port(listener.getsockname()))
        self.can_identify = self._lookup is not None and not _IS_WSL
        """Whether the system tells, so that no other user gets in."""

    def identify(self, peer: Address, local: Address) -> PeerUser:
        """Who connected from `peer` to `local`."""
        if self._lookup is None:
            return PeerUser.US
        ends = _host_and_port(peer), _host_and_port(local)
        try:
            uid = self._lookup(*ends)
        except OSError:  # the kernel is short of memory
            uid = uid_in_proc_net(*ends)
        if uid in (0, os.getuid()) or (uid == NO_UID and _IS_WSL):
            return PeerUser.US
        return PeerUser.GONE if uid == NO_UID else PeerUser.OTHER


def _choose(listener: Address) -> Lookup | None:
    """The first lookup that finds our own listening socket."""
    none = ("::" if ":" in listener[0] else "0.0.0.0", 0)  # noqa: S104 - no address: what a listening socket's peer is
    factories: list[Callable[[], Lookup]] = [lambda: SockDiag().uid, lambda: uid_in_proc_net]
    for factory in factories:
        with suppress(OSError, AttributeError):  # not Linux; forbidden by a container
            lookup = factory()
            if lookup(listener, none) == os.getuid():
                return lookup
    return None


class SockDiag:
    """Asks the kernel over a netlink socket."""

    def __init__(self) -> None:
        """Raises OSError, AttributeError where there is none."""
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)
        self._sequence = 0

    def uid(self, peer: Address, local: Address) -> int:
        """As `Lookup`."""
        self._sequence = (self._sequence + 1) % _ANY
        request = _request(peer, local)
        header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, self._sequence, 0)
        self._netlink.send(header + request)  # it is answered before this returns
        while True:
            answer = self._netlink.recv(4096, socket.MSG_DONTWAIT)
            if _HEADER.unpack_from(answer)[3] == self._sequence:
                return _uid_in_answer(answer, peer[1], local[1])


def _request(peer: Address, local: Address) -> bytes:
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    ports = [address[1].to_bytes(2, "big") for address in (peer, local)]
    hosts = [socket.inet_pton(family, address[0]).ljust(16, b"\0") for address in (peer, local)]
    return _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY, *ports, *hosts, 0, _ANY, _ANY)


def _uid_in_answer(answer: bytes, peer_port: int, local_port: int) -> int:
    """NO_UID for an error, and for a socket that its program has closed (inode 0): older kernels say it is root's.

    A listening socket stands in for one that is gone: its peer has no port.
    """
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return NO_UID
    found = _ANSWER.unpack_from(answer, _HEADER.size)
    ports, (user, inode) = found[4:6], found[-2:]
    is_it = ports == (peer_port.to_bytes(2, "big"), local_port.to_bytes(2, "big"))
    return int(user) if is_it and inode else NO_UID


def uid_in_proc_net(peer: Address, local: Address) -> int:
    """As `Lookup`. Takes long where there are many sockets: some 10 µs for each."""
    wanted = [_column(peer), _column(local)]
    for row in _rows():
        if row[1:3] == wanted:
            return int(row[7]) if row[9] != "0" else NO_UID
    return NO_UID


def _rows() -> Iterator[list[str]]:
    for name in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/net/{name}") as file:
            next(file)
            for line in file:
                row = line.split()
                row[1:3] = [each.removeprefix(_MAPPED_COLUMN) for each in row[1:3]]
                yield row


def _column(address: Address) -> str:
    """`127.0.0.1:8888` as `0100007F:22B8`: an address is numbers of 32 bits in the machine's own byte order."""
    host = socket.inet_pton(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, address[0])
    return f"{_numbers(host)}:{address[1]:04X}"


def _numbers(host: bytes) -> str:
    return "".join(f"{number:08X}" for number in struct.unpack(f"={len(host) // 4}I", host))


_MAPPED_COLUMN = _numbers(_MAPPED)


def _host_and_port(address: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return address[0], address[1]
