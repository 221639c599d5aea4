"""Packs what runs on the host: the agent into one command line, the anchor's program into one zip file.

The command line is safe in every login shell (sh, bash, zsh, dash, ksh, fish, tcsh): one line, without newline,
`!`, backslash or a single quote inside single quotes.
"""

from __future__ import annotations

import ast
import base64
import functools
import io
import zipfile
import zlib
from importlib import resources

AGENT = ("host", "session", "chores", "start", "agent")
"""Modules in the command line, each after those it imports."""
ANCHOR = ("frames", "streams", "line", "carrier", "reactor", "fetch", "host", "server", "visitors", "anchor", "launch")
NO_PYTHON, OLD_PYTHON = 90, 91
"""Exit statuses of the bootstrap where the host has no Python, or none from 3.6 on."""

_PYTHONS = "/usr/bin/python3 python3 /usr/libexec/platform-python " + " ".join(f"python3.{n}" for n in range(14, 5, -1))
_CHECK = "import sys;sys.exit(sys.version_info<(3,6))"
_RUN = "import sys,zlib,base64 as b;exec(zlib.decompress(b.b64decode(sys.argv[2]),-15))"
_SHELL = (
    "r={none}; for p in {pythons}; do command -v $p >/dev/null 2>&1 || continue; r={old}; "
    '$p -ISc "{check}" 2>/dev/null && exec $p -ISc "{run}" {nonce} {code}; done; '
    'echo "farlab: no Python from 3.6 on" >&2; exit $r'
)


def command(nonce: str) -> str:
    """The command for the host's login shell that runs the agent. `nonce`: letters and digits, marks its answers."""
    code = base64.b64encode(_agent()).decode()
    words = {"none": NO_PYTHON, "old": OLD_PYTHON, "pythons": _PYTHONS, "check": _CHECK, "run": _RUN}
    return "exec sh -c '" + _SHELL.format(**words, nonce=nonce, code=code) + "'"


@functools.cache
def bundle() -> bytes:
    """The anchor's program: a zip file that Python runs."""
    main = (
        "import sys\n"
        "if sys.argv[1] == 'anchor':\n    from farlab.remote.anchor import main\n    main(sys.argv[2])\n"
        "else:\n    from farlab.remote.launch import main\n    main(sys.argv[1], sys.argv[2])\n"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, source in [("__main__", main), ("farlab/__init__", ""), ("farlab/remote/__init__", "")]:
            file.writestr(f"{name}.py", source)
        for module in ANCHOR:
            file.writestr(f"farlab/remote/{module}.py", source_of(module))
    return packed.getvalue()


@functools.cache
def _agent() -> bytes:
    """The agent's modules as one program, deflated (RFC 1951, without header)."""
    lines = ["import sys,types"]
    lines += [f"sys.modules['{name}']=types.ModuleType('{name}')" for name in ("farlab", "farlab.remote")]
    for module in AGENT:
        name = f"farlab.remote.{module}"
        lines.append(f"m=types.ModuleType('{name}');sys.modules['farlab.remote'].{module}=sys.modules['{name}']=m")
        lines.append(f"exec({source_of(module)!r},m.__dict__)")
    lines.append("m.main(sys.argv[1])")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress("\n".join(lines).encode()) + packer.flush()


def source_of(module: str) -> str:
    """A module's source without comments and docstrings, which the host does not need."""
    tree = ast.parse(resources.files(__package__).joinpath(f"{module}.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
