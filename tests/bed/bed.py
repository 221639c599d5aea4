"""A bed: a laptop, a bastion, a login node and two nodes, all real, on this machine. Root only.

    with Bed() as bed:
        laptop = bed.add_laptop()
        print(laptop.ssh("login", "hostname").out)

Several beds can stand side by side. A bed goes with the process that made it: its processes hold the end of a pipe
(the lifeline), and what is left of a dead bed's namespaces and mounts is cleared when the next one starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from types import TracebackType

from . import base_image, network, processes
from .hosts import CGROUPS, HERE, BedError, Host, Site, remove_cgroup, wait_for
from .laptop import Laptop, hosts_file, ssh_config
from .resident import Resident
from .users import PASSPHRASE, USERS

BEDS = Path("/run/farlab-bed")
LAB = Path(os.environ.get("FARLAB_BED_LAB", "/opt/farlab-bed/lab"))
"""A virtual environment with JupyterLab, made by the system's Python, that every user can read."""
_numbers = itertools.count(1)


class Bed:
    """Everything stands when the constructor returns; `close` takes it down."""

    def __init__(self, *, nfs_like: bool = False, systemd: tuple[str, ...] = (), lab: Path = LAB) -> None:
        if os.geteuid() != 0:
            raise BedError("a bed needs root: it makes network namespaces and mounts")
        if not (lab / "bin/jupyter-lab").exists():
            raise BedError(f"no JupyterLab in {lab}: run `scripts/install.py packages lab`, or set FARLAB_BED_LAB")
        clear_dead_beds()
        self._laptops_made = 0
        self.laptops: list[Laptop] = []
        self._lifeline_read, self._lifeline_write = os.pipe()
        self.name = f"fl{os.getpid()}x{next(_numbers)}"
        directory = BEDS / self.name
        _claim(directory)
        self.site = Site(
            bed=self.name,
            directory=directory,
            lab=lab,
            lifeline=self._lifeline_read,
            nfs_like=nfs_like,
            systemd=frozenset(systemd),
        )
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        directory = self.site.directory
        network.lay(self.name)
        self.wan = network.Wan(directory / "wan.sock")
        self._wan_program = self._start_wan()
        self.hosts = {name: Host(self.site, name) for name in network.PLACES}
        keys = self._make_keys()
        base_image.make(
            directory / "base",
            directory / "home",
            lab=self.site.lab,
            keys=keys,
            hosts=hosts_file(from_laptop=False),
            systemd=bool(self.site.systemd),
        )
        for user in USERS.values():
            base_image.make_home(directory / "bastion-home", user, self.site.lab)
        for host in self.hosts.values():
            home = host.directory / "home"
            home.symlink_to(self.site.homes(host.name))
            host.start()
        for host in self.hosts.values():
            host.wait_until_up()
        wait_for("the WAN's control socket", (directory / "wan.sock").exists)
        self._lost = self.wan.stats()["lost"]

    @cached_property
    def resident(self) -> Resident:
        """The command line for those who look again and again."""
        return Resident()

    @property
    def bastion(self) -> Host:
        return self.hosts["bastion"]

    @property
    def login(self) -> Host:
        return self.hosts["login"]

    @property
    def node1(self) -> Host:
        return self.hosts["node1"]

    @property
    def node2(self) -> Host:
        return self.hosts["node2"]

    def add_laptop(self, *, knows_hosts: bool = True) -> Laptop:
        """One more laptop, with a home of its own; without `knows_hosts` its `known_hosts` is empty."""
        self._laptops_made += 1
        laptop = Laptop(self.site, self._laptops_made, lambda: self.resident, knows_hosts=knows_hosts)
        self.laptops.append(laptop)
        return laptop

    def remove(self, laptop: Laptop) -> None:
        """Remove a laptop with its home."""
        self.laptops.remove(laptop)
        laptop.remove()

    def wifi(self, *, on: bool) -> None:
        """The laptops' own interface."""
        network.wifi(self.name, on=on)

    def roam(self, address: str) -> None:
        """Give the laptops another address of 10.80.0.0/24."""
        network.roam(self.name, address)

    def restore(self) -> None:
        """Put back whatever a test did to hosts and wires. Connections that the network lost are reset."""
        lost = self.wan.stats()["lost"]
        self.wan.heal()
        network.wifi(self.name, on=True)
        moved = network.laptop_address(self.name) != network.LAPTOP.wan
        if moved:
            self.roam(network.LAPTOP.wan)
        for host in self.hosts.values():
            network.plug(self.name, host.name, connected=True)
            if not host.is_up:
                host.crash()
                host.boot()
            elif moved or lost != self._lost:
                host.ends_connections()
        self._lost = lost

    def fresh_home(self, user: str) -> None:
        """Give a user the home of the first day again, on all hosts."""
        for homes in ("home", "bastion-home"):
            base_image.make_home(self.site.directory / homes, USERS[user], self.site.lab)

    def _start_wan(self) -> subprocess.Popen[bytes]:
        ends = [f"{self.name}-laptop:wan", f"{self.name}-switch:laptop-wan"]
        with (self.site.directory / "wan.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, str(HERE / "wan.py"), *ends, str(self.site.directory / "wan.sock")],
                stdin=self.site.lifeline,
                stdout=log,
                stderr=log,
                env={},
                start_new_session=True,
            )

    def _make_keys(self) -> dict[str, str]:
        """The laptop's keys, the hosts' keys, and `known_hosts`; returns public keys by user, "" for everybody."""
        directory = self.site.directory / "keys"
        directory.mkdir(mode=0o700)
        wanted = {directory / "id_ed25519": "", directory / "kim_ed25519": PASSPHRASE}
        for host in self.hosts.values():
            (host.directory / "upper/etc/ssh").mkdir(parents=True)
            wanted[host.directory / "upper/etc/ssh/ssh_host_ed25519_key"] = ""
        makers = [
            subprocess.Popen(["ssh-keygen", "-q", "-t", "ed25519", "-C", "bed", "-N", phrase, "-f", str(path)])
            for path, phrase in wanted.items()
        ]
        if any(maker.wait() for maker in makers):
            raise BedError("ssh-keygen failed")
        known = []
        for host in self.hosts.values():
            key = (host.directory / "upper/etc/ssh/ssh_host_ed25519_key.pub").read_text()
            names = [host.name, f"[{host.name}]:2222", host.place.wan, host.place.wan6, host.place.lan]
            known.append(f"{','.join(names)} {key}")
        (self.site.directory / "known_hosts").write_text("".join(known))
        (self.site.directory / "ssh_config").write_text(ssh_config())
        return {"": (directory / "id_ed25519.pub").read_text(), "kim": (directory / "kim_ed25519.pub").read_text()}

    def close(self) -> None:
        """Take everything down. Fails where something of the bed could not be removed."""
        if "resident" in self.__dict__:
            self.resident.close()
        with contextlib.suppress(OSError):
            os.close(self._lifeline_write)
            os.close(self._lifeline_read)
        clear(self.name)

    def __enter__(self) -> Bed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _claim(directory: Path) -> None:
    """A file system of the bed's own, and in it who made it."""
    directory.mkdir(parents=True)
    BEDS.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "farlab-bed", str(directory)], check=True)
    me = processes.find(os.getpid())
    if me is None:
        raise BedError("cannot find myself in /proc")
    (directory / "owner.json").write_text(json.dumps({"pid": me.pid, "started": me.started}))


def clear_dead_beds() -> list[str]:
    """Clear what is left of beds whose makers have ended, one at a time on this machine; returns their names."""
    BEDS.mkdir(parents=True, exist_ok=True)
    with (BEDS / "clearing").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        dead = [directory.name for directory in sorted(BEDS.glob("fl*")) if not _owner_is_alive(directory)]
        for name in dead:
            clear(name)
    return dead


def _owner_is_alive(directory: Path) -> bool:
    try:
        owner = json.loads((directory / "owner.json").read_text())
    except (OSError, ValueError):  # killed while it began; but give one that begins just now its moment
        return processes.find(int(directory.name[2:].split("x")[0])) is not None
    return processes.is_alive(owner["pid"], owner["started"])


def members(name: str) -> list[processes.Process]:
    """Every process in a network namespace of that bed, and its WAN program."""
    nets = {entry.stat().st_ino for entry in Path("/run/netns").glob(f"{name}-*")}
    wan = str(BEDS / name / "wan.sock")
    return [process for process in processes.every() if process.net in nets or wan in process.argv]


def clear(name: str) -> None:
    """End every process of a bed (and no other), remove its wires, mounts and files."""

    def ended() -> bool:
        left = members(name)
        for process in left:
            processes.end(process.pid, process.started)
        return not left

    wait_for(f"end of the processes of {name}", ended)
    network.unlay(name)
    directory = BEDS / name
    while directory.is_mount():
        subprocess.run(["umount", "-l", str(directory)], check=True)
    shutil.rmtree(directory)
    for cgroup in CGROUPS.glob(f"{name}-*"):
        remove_cgroup(cgroup)
