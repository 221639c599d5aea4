"""Packs what runs on the host: the loader into one command line, the agent and the anchor's program into one file each.

The command line is safe in every login shell (sh, bash, zsh, dash, ksh, fish, tcsh): one line, without newline,
`!`, backslash or a single quote inside single quotes.
"""

from __future__ import annotations

import base64
import functools
import pkgutil
import re
import zlib

LAUNCHERS = tuple(f"host.launchers.{name}" for name in ("base", "detached", "tmux", "known"))
_BOTH = (
    *(
        "protocol.records",
        "protocol.json_lines",
        "protocol.peer",
        "protocol.session",
        "protocol.anchor",
        "protocol.spec",
    ),
    *("host.failure", "host.directories", "host.processes", *LAUNCHERS),
)
_JUPYTER = ("host.jupyter_versions", "host.jupyter_program")
AGENT = (*_BOTH, "protocol.agent", "host.session_files", "host.lock", "host.agent")
ENSURE = ("host.start", "host.ensure")
COMMANDS = ("protocol.commands", "protocol.listing", "host.kill", "host.commands")
LOGS = ("protocol.commands", "protocol.listing", "host.log_tail", "host.read_log")
LISTING = (
    *(
        "protocol.commands",
        "protocol.listing",
        "host.shell_command",
        "host.known_environments",
        *_JUPYTER,
        "host.environments",
    ),
    *("host.login_terminal", "host.shell_environment", "host.list_environments"),
)
PARTS = {"ensure": ("ensure", ENSURE), "envs": ("list_environments", LISTING), "logs": ("read_log", LOGS)}
LOADER = ("host.loader",)
ANCHOR = (
    *_BOTH,
    *("protocol.timing", "protocol.listing", "protocol.jupyter", "protocol.http_response", "protocol.options"),
    *("protocol.launcher", "protocol.mux_messages", "mux.frames", "mux.codec", "mux.streams", "mux.link_end"),
    *(
        "mux.mux",
        "mux.pipes",
        "mux.driver",
        "host.reactor",
        "host.http",
        "host.shell_command",
        "host.jupyter_options",
        "host.server_process",
    ),
    *("host.server_log", "host.server_health", "host.server_launch", "host.socket_guard", "host.shell_start"),
    *("host.server", "host.login_terminal"),
    *("host.log_tail", "host.log_stream", "host.server_connector", "host.session_record", "host.client"),
    *("host.pending_link", "host.clients"),
    *("host.control", "host.requests", "host.launchers.tmux_pane", "host.anchor", "host.anchor_client"),
    *("host.known_environments", *_JUPYTER, "host.environments", "host.kernel_specs"),
    *("host.login_shell", "host.run_jupyter", "host.jupyter_hook", "host.jupyter_overrides"),
    "host.output_limit",
    *("host.kernels", "host.kernel_start", "host.keep_output", "host.kill"),
)
NO_PYTHON, OLD_PYTHON = 90, 91
"""Exit statuses of the bootstrap where the host has no Python, or none from 3.6 on."""

PLAIN = "exec sh"
"""The command where quotes do not count. Start-up files must leave standard input alone there."""
_PYTHONS = "/usr/bin/python3 python3 /usr/libexec/platform-python " + " ".join(f"python3.{n}" for n in range(14, 5, -1))
NEEDED = "json socket subprocess shutil base64"
"""Modules that a Python may lack which has only parts of its library; they are looked for, which takes no time."""
CHECK = (
    "import sys;f=sys.meta_path[-1].find_spec;"
    "sys.exit(sys.version_info<(3,6)or not all(f(m)and f(m).origin for m in sys.argv[1:]))"
)
_RUN = "import sys,zlib,base64 as b;exec(zlib.decompress(b.b64decode(sys.argv[2]),-15))"
_SHELL = (
    "r={none}; for p in {pythons}; do command -v $p >/dev/null 2>&1 || continue; r={old}; "
    '$p -ISc "{check}" {needed} 2>/dev/null && exec $p -ISc "{run}" {nonce} {code}; done; '
    'echo "farlab: no whole Python from 3.6 on" >&2; exit $r'
)
_RESULT = re.compile(r"\) -> (\w+|\"[^\"]*\"):$")
_ANNOTATION = re.compile(r"\b(\w+): (?:[\w.]+|\"[^\"]*\")(?: (=) )?(?=[,)\w\"'({\[-])")
_LOADER = """\
import sys
class Sources:
    def find_spec(self, name, path=None, target=None):
        if name in SOURCES:
            return type(sys.__spec__)(name, self, is_package=not SOURCES[name])
    def create_module(self, spec):
        pass
    def exec_module(self, module):
        exec(compile(SOURCES[module.__name__], module.__name__, "exec"), module.__dict__)
sys.meta_path.insert(0, Sources())
"""


def command(nonce: str) -> str:
    """The command for the host's login shell that loads the agent. `nonce`: letters and digits, marks its answers."""
    return "exec sh -c '" + script(nonce) + "'"


def was_split(said: str) -> bool:
    """Whether something took `command` apart at its spaces, as an unquoted `ForceCommand $SSH_ORIGINAL_COMMAND` does.

    A shell was given the command up to its first space then, and as its own name the word behind.
    """
    return re.search(r"^for\b.*(quot|match)", said, re.MULTILINE) is not None


def script(nonce: str) -> str:
    """What `command` runs, for sh; after `PLAIN` it is the first line on standard input."""
    code = base64.b64encode(_deflated(LOADER, "from farlab.host.loader import main\nmain(sys.argv[1])\n")).decode()
    words = {"none": NO_PYTHON, "old": OLD_PYTHON, "pythons": _PYTHONS, "check": CHECK, "needed": NEEDED, "run": _RUN}
    return _SHELL.format(**words, nonce=nonce, code=code)


def agent(op: str) -> bytes:
    """The agent, deflated: it comes with a link's first request, and has what that request needs."""
    name, modules = PARTS.get(op, ("commands", COMMANDS))
    main = f"from farlab.host.agent import main\nfrom farlab.host.{name} import run\nmain(run, link, request)\n"
    return _deflated((*AGENT, *modules), main)


def bundle() -> bytes:
    """The anchor's program, deflated (RFC 1951, no header)."""
    main = "import importlib\nSources.get_source = lambda self, name: SOURCES[name]\n"  # for what goes further
    return _deflated(ANCHOR, main + "importlib.import_module(sys.argv[1]).main(*sys.argv[2:])\n")


@functools.cache
def _deflated(modules: tuple[str, ...], main: str) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(program(modules, main).encode()) + packer.flush()


def program(modules: tuple[str, ...], main: str) -> str:
    """One file of Python that holds `modules` as text, compiles each when it is imported, and ends with `main`."""
    names = [f"farlab.{module}" for module in modules]
    parents = {name[:at]: "" for name in names for at, letter in enumerate(name) if letter == "."}
    sources = {**parents, **{name: source_of(module) for name, module in zip(names, modules, strict=True)}}
    return f"SOURCES = {sources!r}\n{_LOADER}{main}"


def source_of(module: str) -> str:
    """A module's source without what the host does not need: blank lines, comments, docstrings, types.

    Not a parser, which would cost 0.1 s at each connect: in these modules a line that begins with three double
    quotes begins a docstring, and two spaces and a hash a comment; annotations go where a `def` is one line. A test
    holds that what is left means the same.
    """
    text = (pkgutil.get_data("farlab", f"{module.replace('.', '/')}.py") or b"").decode()
    kept, in_docstring, is_for_types = [], False, False
    for line in text.splitlines():
        bare = line.strip()
        is_for_types = bare == "if MYPY:" or (is_for_types and line[:1] in ("", " "))
        if is_for_types or bare == "MYPY = False":
            continue
        if in_docstring:
            in_docstring = not bare.endswith('"""')
        elif bare.startswith('"""'):
            in_docstring = len(bare) < 6 or not bare.endswith('"""')
            kept.append(line.partition('"""')[0] + '""')  # a class may have no other body
        elif bare.startswith("def "):
            kept.append(_ANNOTATION.sub(r"\1\2", _RESULT.sub("):", line.partition("  # ")[0])))
        elif bare and not bare.startswith("#"):
            kept.append(line.partition("  # ")[0])
    return "\n".join(kept) + "\n"
