"""A kernel of another environment, for one session alone. Standard library, Python 3.6."""

import json
import os

MYPY = False
if MYPY:
    from farlab.host.environments import Environment

NAME = "python3"
"""What notebooks ask for that name no other; the first of that name on Jupyter's data path is taken."""


def add(runtime: str, environment: "Environment") -> None:
    """Make the Python of `environment`, entered as activating it would, the kernel that notebooks get."""
    place = os.path.join(runtime, "share", "jupyter")
    folder = os.path.join(place, "kernels", NAME)
    os.makedirs(folder, 0o700, exist_ok=True)
    argv = [environment.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    shown = "Python (%s)" % (environment.name or environment.python)
    spec = {"argv": argv, "display_name": shown, "language": "python", "env": environment.variables,
            "metadata": metadata(environment)}  # fmt: skip
    file = os.path.join(folder, "kernel.json")
    with open(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as out:
        json.dump(spec, out)
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, (place, os.environ.get("JUPYTER_PATH"))))


def metadata(environment: "Environment") -> object:
    """What the environment's own kernel says of itself: JupyterLab offers its debugger by that."""
    prefix = os.path.dirname(os.path.dirname(environment.python))
    try:
        with open(os.path.join(prefix, "share/jupyter/kernels", NAME, "kernel.json"), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found.get("metadata", {}) if isinstance(found, dict) else {}
