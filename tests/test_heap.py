"""What was held in an outage is given back: glibc keeps a heap with holes, as a line that was full leaves one."""

from __future__ import annotations

import json
import subprocess
import sys

FULL = """
import json
from farlab.remote.heap import Heap

def mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4 / 1024

heap, sizes = Heap(), [mib()]
held, kept = [], []
for number in range(600):
    held.append(b"x" * 100_000)  # below what malloc(3) maps for itself
    kept.append(b"x" * 1000)  # so that no end of the heap is free
heap.look(60_000_000)
sizes.append(mib())
del held
sizes.append(mib())
heap.look(30_000_000)  # not yet: most of it still waits
sizes.append(mib())
heap.look(1000)
sizes.append(mib())
print(json.dumps(sizes))
"""


def test_when_most_of_what_was_held_has_gone_its_memory_goes_too() -> None:
    ran = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, timeout=60, check=True)
    before, full, freed, waiting, over = json.loads(ran.stdout)
    assert full > before + 50
    assert freed > before + 50, "the C library did it by itself: then there is nothing to give back"
    assert waiting > before + 50
    assert over < before + 10
