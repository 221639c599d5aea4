"""How each kernel of the server talks: over private sockets where it can, else as it does by hand, on 127.0.0.1 alone.

Rules: runs in the server, patches of it what every version from 1.13 on has, and leaves it as it is where something is
missing; syntax of Python 3.6. A kernel gets private sockets only on evidence that it knows them: some take the word for
TCP on every interface. The evidence is that it is an ipykernel, by its command or asked of its Python; and where that
is not certain (a wrapper may hide our files from it), its first start is watched, and TCP is next.
"""

import asyncio
import contextlib
import os
import re
import subprocess
import time

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Key = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]

TRIAL_TIMEOUT = 20.0
"""Seconds in which a kernel's private sockets must appear where that is not certain."""
PROBE_TIMEOUT = 30.0
MAX_MESSAGES = 1 << 14
"""Messages that ZMQ holds for one reader while the server is busy, instead of a thousand, where the kernel drops."""
IPYKERNEL_MODULES = ("ipykernel_launcher", "ipykernel")
"""The modules that are an ipykernel by name."""
PROBE = """
import ast, importlib, importlib.util as util, sys
name = sys.argv[1]
spec = util.find_spec(name)
if spec.submodule_search_locations:
    name += ".__main__"
    spec = util.find_spec(name)
for node in ast.walk(ast.parse(spec.loader.get_source(name))):
    wanted = [each.name for each in getattr(node, "names", ()) if hasattr(each, "asname")]
    if isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        base = util.resolve_name(base, name.rpartition(".")[0]) if node.level else base
        wanted = [base] + [base + "." + each for each in wanted]
    elif not isinstance(node, ast.Import):
        continue
    for each in wanted:
        try:
            importlib.import_module(each)
        except Exception:
            pass
sys.exit("ipykernel.kernelapp" not in sys.modules)"""
"""Asked of a kernel's Python: whether what the module imports is the app of ipykernel. The module itself is not run."""
REFUSAL = (
    "This session runs private kernels only (`--kernels private`), and `%s` supports only TCP, which other users of "
    "the host can read. To use it, start another session with a different `--name` and `--kernels any`."
)
_PYTHON = re.compile(r"(python|pypy)[0-9.]*")


def module_of(command: "list[str]") -> "tuple[int, int] | None":
    """Where a command runs a module of Python: the places of the Python and of `-m`; None where it does not."""
    found = None
    for python, word in enumerate(command):
        if not _PYTHON.fullmatch(os.path.basename(word)):
            continue
        at = python + 1
        while at < len(command) and command[at].startswith("-") and command[at] not in ("-m", "-c"):
            at += 2 if command[at] in ("-X", "-W") else 1
        if command[at : at + 1] == ["-m"] and at + 1 < len(command):
            found = python, at
    return found


def is_local(spec: "Any") -> bool:
    """Whether kernels of a kernelspec are processes on this machine that Jupyter itself starts."""
    provisioner = (spec.metadata or {}).get("kernel_provisioner") or {}
    return bool(provisioner.get("provisioner_name", "local-provisioner") == "local-provisioner")


def is_ipykernel(command: "list[str]", environment: "dict[str, str]") -> bool:
    """Whether the Python at the front of a command says that the module it runs is an ipykernel."""
    found, null = module_of(command), subprocess.DEVNULL
    if found is None:
        return False
    argv = [*command[found[0] : found[1]], "-c", PROBE, command[found[1] + 1]]
    try:
        probe = subprocess.run(
            argv, cwd="/", env=environment, stdin=null, stdout=null, stderr=null, timeout=PROBE_TIMEOUT
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return probe.returncode == 0


class StartFile(object):
    """The file in the runtime directory that starts an ipykernel by `code`."""

    def __init__(self, runtime: str, code: str) -> None:
        self._path = os.path.join(runtime, "farlab-kernel")
        # in names of its own: the kernel's `__main__` is this file's
        self._text = "import sys\nexec(%r, {'__name__': 'farlab'})\n" % (code + "\nmain(sys.argv.pop(1))\n")

    def path(self) -> str:
        """Where it is, made again if somebody removed it; "" if that fails."""
        if os.path.exists(self._path):
            return self._path
        new = self._path + ".new"
        try:
            with open(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
                file.write(self._text)
            os.rename(new, self._path)  # whole, or a full disk would leave a program that does nothing
        except OSError:
            return ""
        return self._path


class KernelTransports(object):
    """Decides how kernels talk. `start_file` starts an ipykernel; `only_private`: no others but private ones run."""

    def __init__(
        self, start_file: "StartFile | None", only_private: bool, report_open: "Callable[[str], object]"
    ) -> None:
        self._start_file, self._only_private, self._report_open = start_file, only_private, report_open
        self._knows_ipc: "dict[Key, bool]" = {}
        self._on_trial: "set[Key]" = set()
        self._reported: "set[str]" = set()

    # what a kernelspec knows -----------------------------------------------------------------------------

    def learn(self, spec: "Any", command: "list[str]") -> None:
        """Find out whether kernels of `spec` know private sockets. May ask a Python, and take its time."""
        key, found = key_of(spec), module_of(command)
        if key in self._knows_ipc:
            return
        if found is None or not is_local(spec):
            self._knows_ipc[key] = False
            return
        python, at = found
        is_own = command[at + 1] in IPYKERNEL_MODULES
        self._knows_ipc[key] = is_own or (python == 0 and is_ipykernel(command, dict(os.environ, **(spec.env or {}))))
        if self._knows_ipc[key] and not (is_own and python == 0):
            self._on_trial.add(key)

    def choose_transport(self, manager: "Any") -> None:
        """Decide how the kernel of `manager` talks, before it starts for the first time."""
        if hasattr(manager, "farlab_private"):
            return
        spec = manager.kernel_spec
        found = module_of(spec.argv)
        if found and found[0] == 0 and spec.argv[found[1] + 1] in IPYKERNEL_MODULES:
            self.learn(spec, spec.argv)  # nothing is asked
        is_ipc = self._knows_ipc.get(key_of(spec), False)
        is_private = is_ipc or (is_local(spec) and require_encryption(manager))
        if self._only_private and not is_private:
            raise refusal(manager.kernel_name)
        manager.farlab_private, manager.farlab_ipc = is_private, is_ipc
        if is_local(spec):
            set_transport(manager, "ipc" if is_ipc else "tcp")

    def command(self, manager: "Any", argv: "list[str]") -> "list[str]":
        """The argv of a kernel that talks over private sockets, by way of our file."""
        found = module_of(argv) if getattr(manager, "farlab_ipc", False) else None
        path = self._start_file.path() if found is not None and self._start_file is not None else ""
        return [*argv[: found[1]], path, *argv[found[1] + 1 :]] if found is not None and path else argv

    # the first start -------------------------------------------------------------------------------------

    async def start(self, kernels: "Any", start: "Any", kwargs: "dict[str, Any]") -> "Any":
        """Start a kernel of `kernels`, the server's manager of them all, by its own `start`."""
        loop = asyncio.get_event_loop()
        spec = kernels.kernel_spec_manager.get_kernel_spec(kwargs.get("kernel_name") or kernels.default_kernel_name)
        await loop.run_in_executor(None, self.learn, spec, with_own_python(spec.argv))
        kernel_id = await start(kernels, **kwargs)
        manager = kernels.get_kernel(kernel_id)
        key = key_of(spec)
        if key in self._on_trial and getattr(manager, "farlab_ipc", False):
            if not await wait_for_sockets(manager):
                self._knows_ipc[key] = False
                await resolve(kernels.shutdown_kernel(kernel_id, now=True))
                kernel_id = await start(kernels, **dict(kwargs, kernel_id=kernel_id))
            self._on_trial.discard(key)
        manager = kernels.get_kernel(kernel_id)
        if not getattr(manager, "farlab_private", True):
            await loop.run_in_executor(None, self._report, manager.kernel_name)
        return kernel_id

    def _report(self, name: str) -> None:
        """Report once that a kernel of this kind runs. If nobody hears it, the next such kernel is reported."""
        if name not in self._reported:
            with contextlib.suppress(OSError, ValueError):
                self._report_open(name)
                self._reported.add(name)


def key_of(spec: "Any") -> "Key":
    """What tells a kernelspec from another, or from what it was before it was edited."""
    return spec.resource_dir, tuple(spec.argv), tuple(sorted((spec.env or {}).items()))


def with_own_python(command: "list[str]") -> "list[str]":
    """The command with the Python that Jupyter takes for a mere `python`: its own."""
    import sys

    names = ["python", "python%d" % sys.version_info[0], "python%d.%d" % sys.version_info[:2]]
    return [sys.executable, *command[1:]] if command and command[0] in names else list(command)


def refusal(name: str) -> Exception:
    from tornado.web import HTTPError

    refused: Exception = HTTPError(403, REFUSAL.replace("%s", name).replace("%", "%%"))
    return refused


def set_transport(manager: "Any", transport: str) -> None:
    """Set the transport, whatever the user's configuration says: others could read what goes to other addresses."""
    manager.transport = transport
    manager.ip = os.path.splitext(manager.connection_file)[0] + "-ipc" if transport == "ipc" else "127.0.0.1"
    if manager.has_trait("cache_ports"):
        manager.cache_ports = transport == "tcp"


def require_encryption(manager: "Any") -> bool:
    """Have a kernel encrypt what it says, if it declares that it can. Returns whether it will."""
    try:
        if not manager._kernel_supports_curve_encryption():
            return False
        manager.transport_encryption = "required"
    except Exception:  # a version without it, or a ZMQ without: TraitError, AttributeError …
        return False
    return True


async def wait_for_sockets(manager: "Any") -> bool:
    """Whether a kernel makes its private sockets in time."""
    deadline = time.monotonic() + TRIAL_TIMEOUT
    while time.monotonic() < deadline:
        if os.path.exists("%s-%d" % (manager.ip, manager.shell_port)):
            return True
        if manager.has_kernel and not await resolve(manager.is_alive()):
            return False
        await asyncio.sleep(0.05)
    return False


async def resolve(value: "Any") -> "Any":
    """The result of a call that is a coroutine in some versions and managers of Jupyter."""
    return await value if hasattr(value, "__await__") else value


def install(runtime: str, start_code: str, only_private: bool, report_open: "Callable[[str], object]") -> None:
    """`start_code`: what starts an ipykernel. `report_open(name)`: a kernel runs that others on the host can read."""
    start_file = StartFile(runtime, start_code)
    start_file.path()
    transports = KernelTransports(start_file, only_private, report_open)
    with contextlib.suppress(ImportError, AttributeError):
        patch_managers(transports)
    with contextlib.suppress(ImportError, AttributeError):
        patch_server(transports)


def patch_managers(transports: "KernelTransports") -> None:
    """Every kernel that is started in this process, by whichever extension."""
    from jupyter_client.manager import AsyncKernelManager, KernelManager

    for kind in (KernelManager, AsyncKernelManager):
        for name in ("_async_pre_start_kernel", "pre_start_kernel"):
            if name in vars(kind):
                setattr(kind, name, choosing_transport(transports, getattr(kind, name)))
    format_kernel_cmd, connect_iopub = KernelManager.format_kernel_cmd, KernelManager.connect_iopub
    cleanup_ipc_files = KernelManager.cleanup_ipc_files

    def format_for_us(self: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        return transports.command(self, format_kernel_cmd(self, *args, **kwargs))

    def connect_for_us(self: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        sock = connect_iopub(self, *args, **kwargs)
        if not getattr(self, "farlab_ipc", False):
            sock.rcvhwm = MAX_MESSAGES
        return sock

    def cleanup_for_us(self: "Any") -> None:
        cleanup_ipc_files(self)
        with contextlib.suppress(OSError):
            os.unlink("%s-f" % self.ip)

    KernelManager.format_kernel_cmd = format_for_us
    KernelManager.connect_iopub = connect_for_us
    KernelManager.cleanup_ipc_files = cleanup_for_us


def choosing_transport(transports: "KernelTransports", pre_start: "Any") -> "Any":
    def pre_start_for_us(self: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        transports.choose_transport(self)
        return pre_start(self, *args, **kwargs)

    return pre_start_for_us


def patch_server(transports: "KernelTransports") -> None:
    """What the server's clients ask for: how a kernel talks is among what they are told of it."""
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    start_kernel, kernel_model = MappingKernelManager.start_kernel, MappingKernelManager.kernel_model

    async def start_for_us(self: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        if args or kwargs.get("kernel_id") in self:
            return await start_kernel(self, *args, **kwargs)
        return await transports.start(self, start_kernel, kwargs)

    def model_for_us(self: "Any", kernel_id: "Any") -> "Any":
        model = kernel_model(self, kernel_id)
        is_private = getattr(self.get_kernel(kernel_id), "farlab_private", None)
        return model if is_private is None else dict(model, farlab_private=is_private)

    MappingKernelManager.start_kernel = start_for_us
    MappingKernelManager.kernel_model = model_for_us
