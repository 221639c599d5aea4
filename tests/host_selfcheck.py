"""The mux's own check under any Python from 3.6 on: `python -I host_selfcheck.py SRC TESTS SECONDS`.

Imports what is shipped to hosts as a host does, without farlab's laptop side; compiles all of it; then lets worlds of
muxes live and attacks muxes with hostile bytes until SECONDS have passed. Standard library, Python 3.6.
"""

import os
import random
import sys
import time
import types

PACKAGES = ("host", "mux", "protocol")


def prepare(source, tests):
    """Make `farlab.host` importable as it is in the bundle: empty packages around the modules."""
    paths = [("farlab", source)] + [("farlab." + name, os.path.join(source, name)) for name in PACKAGES]
    for name, path in paths:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [path]
    sys.path.insert(0, tests)
    sys.dont_write_bytecode = True


def compile_all(folder):
    """Every module for the host must be this Python's syntax. Returns how many there are."""
    paths = [os.path.join(top, name) for top, _, names in os.walk(folder) for name in names if name.endswith(".py")]
    for path in paths:
        with open(path, encoding="utf-8") as file:
            compile(file.read(), path, "exec")
    return len(paths)


def live(seed):
    """One world, from its first step to its end."""
    from mux_world import SCHEDULE, World

    rng = random.Random(seed)
    world = World(1 + seed % 2)
    for _ in range(rng.randrange(5, 150)):
        name = rng.choice(SCHEDULE)
        if name != "forget" or seed % 3 == 0:
            world.step(name, rng.randrange(1 << 20), rng.randrange(1 << 20))
    world.settle()


def main(source, tests, seconds):
    prepare(source, tests)
    modules = sum(compile_all(os.path.join(source, name)) for name in PACKAGES)
    from mux_fuzz import attack

    worlds = inputs = 0
    deadline = time.time() + float(seconds)
    while time.time() < deadline or not worlds:
        live(worlds)
        inputs += sum(attack(worlds, 40).values())
        worlds += 1
    sys.stdout.write(f"{modules} modules, {worlds} worlds, {inputs} hostile inputs\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
