"""A bed to play with until its shell ends: `PYTHONPATH=tests python -m bed --help`."""

from __future__ import annotations

import argparse
import subprocess

from . import Bed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bed", description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="one way, between laptop and hosts")
    parser.add_argument("--nfs-like", action="store_true", help="/home as over NFS")
    parser.add_argument("--systemd", action="append", default=[], metavar="HOST", help="boot a real systemd there")
    words = parser.parse_args()
    with Bed(nfs_like=words.nfs_like, systemd=tuple(words.systemd)) as bed:
        bed.wan.delay(words.delay)
        subprocess.run(bed.add_laptop().command(["bash", "--norc"]), check=False)


if __name__ == "__main__":
    main()
