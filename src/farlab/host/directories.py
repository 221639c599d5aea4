"""Where farlab's files and sockets are on this host. Standard library, Python 3.6.

Rule: no directory is used or removed but our own, whatever leads there.
"""

import os
import stat
from contextlib import suppress

from farlab.host.failure import Failure

NEEDED = 1 << 17
"""Bytes."""
MAX_BASE = 37
"""Bytes of a path; the longest below it must fit into a socket's 107."""


def private(path: str) -> str:
    """A directory that only we can enter, made if need be; refuses anybody else's."""
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    if not is_our_directory(path):
        raise Failure("host-lacks", "`%s` exists but is not a directory of yours" % path, hint="owner")
    if os.lstat(path).st_mode & 0o077:
        os.chmod(path, 0o700)
    return path


def is_our_directory(path: str) -> bool:
    found = os.lstat(path)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def runtime_base() -> str:
    """The short private directory for sockets: they do not live on NFS, and their paths end at 107 bytes.

    The first place where one can be made. `/tmp` comes first: containers see it, and it stays when the user logs out.
    """
    ours = "farlab-%d%s" % (os.getuid(), _other_home())
    places = ["/tmp/" + ours]  # noqa: S108 - owner and mode are checked
    for base in (os.environ.get("XDG_RUNTIME_DIR"), "/run/user/%d" % os.getuid()):
        with suppress(OSError):
            if base and is_our_directory(base) and not os.lstat(base).st_mode & 0o077:
                places.append(base + "/farlab")
    places += [os.path.join(base, ours) for base in (os.environ.get("TMPDIR", ""), "/var/tmp")]  # noqa: S108 - as above
    places.append(os.path.join(os.path.expanduser("~"), ".cache/farlab"))
    trouble = None  # type: Exception | None
    for place in places:
        if place.startswith("/") and len(os.fsencode(place)) <= MAX_BASE:
            try:
                return usable(private(place))
            except (OSError, Failure) as error:  # full, read-only; somebody else's, who could bar us for ever
                trouble = trouble or error
    raise trouble or Failure("host-lacks", "found no place for sockets", hint="owner")


def _other_home() -> str:
    """What tells a home that is not the account's own from that: each has sessions of the same names."""
    import pwd
    import zlib

    home = os.path.realpath(os.path.expanduser("~"))
    with suppress(KeyError):
        if home == os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir):
            return ""
    return "-%08x" % zlib.crc32(os.fsencode(home))


def usable(directory: str) -> str:
    """A directory in which there is room for a session's files. Raises OSError."""
    probe = os.path.join(directory, ".%d" % os.getpid())
    try:
        with open(probe, "xb") as file:
            file.write(bytes(NEEDED))
    finally:
        with suppress(OSError):
            os.unlink(probe)
    return directory


def state_base() -> str:
    """Where every session's record and log are."""
    return os.path.join(os.path.expanduser("~"), ".local", "state", "farlab")


def places_of(name: str) -> "list[str]":
    """The directories of sessions of that name, whatever node they are of; that of this one first.

    Where homes are shared, a node whose plain place is taken has its sessions below `@nodes/NODE`.
    """
    base = state_base()
    nodes = os.path.join(base, "@nodes")
    others = sorted(os.listdir(nodes)) if os.path.isdir(nodes) else []
    places = [place_here(name), os.path.join(base, name), *(os.path.join(nodes, node, name) for node in others)]
    return [place for number, place in enumerate(places) if os.path.isdir(place) and place not in places[:number]]


def place_here(name: str) -> str:
    """The directory of a session on this node: the plain one, unless that is another's."""
    plain = os.path.join(state_base(), name)
    node = "".join(each if each.isalnum() or each in "-_" else "_" for each in os.uname().nodename) or "_"
    return os.path.join(state_base(), "@nodes", node, name) if os.path.isdir(plain) else plain


def remove_state(directory: str) -> None:
    """Remove a session's directory, and those above it that are empty then, up to `state_base`."""
    remove_tree(directory)
    while directory.startswith(state_base() + "/"):
        directory = os.path.dirname(directory)
        remove_empty(directory)


def remove_runtime(path: str) -> None:
    """Remove a session's runtime directory; not where a stranger has made the one above it: that may lead anywhere."""
    above = os.path.dirname(path)
    with suppress(OSError):
        if os.path.basename(above).startswith("farlab") and is_our_directory(above):
            remove_tree(path)
            os.rmdir(above)  # if it is empty


def remove_tree(path: str) -> None:
    """Remove a directory of ours; symbolic links in it are removed, never followed."""
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil  # 2 ms, and not for every link

        shutil.rmtree(path, ignore_errors=True)


def remove_file(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_empty(directory: str) -> None:
    with suppress(OSError):
        os.rmdir(directory)


def tail(path: str, size: int = 8192) -> str:
    """The end of a file, "" where it cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
