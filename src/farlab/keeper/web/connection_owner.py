"""Whose program is at the other end of a loopback connection, where the system tells: Linux.

The kernel is asked for that one socket (NETLINK_SOCK_DIAG, sock_diag(7)), which takes microseconds however many there
are; where it does not answer, `/proc/net/tcp` and `tcp6` are read (proc(5)). Which of them works is found out with a
socket that is known to be ours: a kernel without the module answers as if there were no such socket.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum, auto

NOBODY = -1
"""Whose a connection is when its other end has been closed already, or is in no table of this system."""
Address = tuple[str, int]
"""What `getsockname` begins with, in both families."""

_SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 20, 1  # linux/sock_diag.h, linux/netlink.h
_NETLINK_SOCK_DIAG = 4
_ANY = 0xFFFFFFFF
"""Every state; every cookie."""
_HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
_QUESTION = struct.Struct("=BBBBI2s2s16s16sIII")
"""struct inet_diag_req_v2: family, protocol, extensions, padding, states; then a socket's identity: its port and its
peer's, its address and its peer's, interface, cookie."""
_ANSWER = struct.Struct("=BBBB2s2s16s16s3I3III")
"""struct inet_diag_msg: family, state, timer, retransmits; the identity; expiry and two queues; user, inode."""
_MAPPED = bytes(10) + b"\xff\xff"
"""What stands before an IPv4 address in a socket of IPv6: a program may connect by such a one."""
_IS_WSL = "microsoft" in os.uname().release.lower()
"""Where a browser of Windows may be at the other end, of whose sockets Linux knows nothing."""

Ask = Callable[[Address, Address], int]
"""The user whose socket has the first address and is connected to the second, or NOBODY. Raises OSError."""


class Whose(Enum):
    """What a connection is to this user."""

    OURS = auto()
    """This user's or root's; or nobody can tell."""
    GONE = auto()
    """Closed already at its other end: nobody can tell any more whose it was, and nobody waits for an answer."""
    ANOTHERS = auto()


class Owners:
    """Tells whose connections to one listening socket of ours are."""

    def __init__(self, listener: socket.socket) -> None:
        self._ask = _choose(_two(listener.getsockname()))
        self.are_known = self._ask is not None and not _IS_WSL
        """Whether the system tells: no stranger gets in."""

    def whose(self, theirs: Address, ours: Address) -> Whose:
        """Whose is what came from one address to the other."""
        if self._ask is None:
            return Whose.OURS
        ends = _two(theirs), _two(ours)
        try:
            owner = self._ask(*ends)
        except OSError:  # the kernel is short of memory
            owner = owner_in_table(*ends)
        if owner in (0, os.getuid()) or (owner == NOBODY and _IS_WSL):
            return Whose.OURS
        return Whose.GONE if owner == NOBODY else Whose.ANOTHERS


def _choose(listener: Address) -> Ask | None:
    """The way to ask that knows our own listening socket."""
    none = ("::" if ":" in listener[0] else "0.0.0.0", 0)  # noqa: S104 - no address: what a listening socket's peer is
    ways: list[Callable[[], Ask]] = [lambda: Kernel().owner, lambda: owner_in_table]
    for way in ways:
        with suppress(OSError, AttributeError):  # not Linux; forbidden by a container
            ask = way()
            if ask(listener, none) == os.getuid():
                return ask
    return None


class Kernel:
    """Asks the kernel by a socket of its own."""

    def __init__(self) -> None:
        """Raises OSError, AttributeError where there is none."""
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)
        self._number = 0

    def owner(self, theirs: Address, ours: Address) -> int:
        """As `Ask`."""
        self._number = (self._number + 1) % _ANY
        question = _question(theirs, ours)
        header = _HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, self._number, 0)
        self._netlink.send(header + question)  # it is answered before this returns
        while True:
            answer = self._netlink.recv(4096, socket.MSG_DONTWAIT)
            if _HEADER.unpack_from(answer)[3] == self._number:
                return _owner_said(answer, theirs[1], ours[1])


def _question(theirs: Address, ours: Address) -> bytes:
    family = socket.AF_INET6 if ":" in theirs[0] else socket.AF_INET
    ports = [address[1].to_bytes(2, "big") for address in (theirs, ours)]
    places = [socket.inet_pton(family, address[0]).ljust(16, b"\0") for address in (theirs, ours)]
    return _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY, *ports, *places, 0, _ANY, _ANY)


def _owner_said(answer: bytes, theirs: int, ours: int) -> int:
    """The owner in the kernel's answer: none in an error, nor of a socket that its program has let go (inode 0).

    Older kernels say that such a socket is root's. A listening socket stands in for one that is gone: its peer has no
    port.
    """
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return NOBODY
    found = _ANSWER.unpack_from(answer, _HEADER.size)
    ports, (user, inode) = found[4:6], found[-2:]
    is_it = ports == (theirs.to_bytes(2, "big"), ours.to_bytes(2, "big"))
    return int(user) if is_it and inode else NOBODY


def owner_in_table(theirs: Address, ours: Address) -> int:
    """As `Ask`. Takes long where there are many sockets: some 10 µs for each."""
    wanted = [_column(theirs), _column(ours)]
    for row in _rows():
        if row[1:3] == wanted:
            return int(row[7]) if row[9] != "0" else NOBODY
    return NOBODY


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
    place = socket.inet_pton(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, address[0])
    return f"{_numbers(place)}:{address[1]:04X}"


def _numbers(place: bytes) -> str:
    return "".join(f"{number:08X}" for number in struct.unpack(f"={len(place) // 4}I", place))


_MAPPED_COLUMN = _numbers(_MAPPED)


def _two(address: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return address[0], address[1]
