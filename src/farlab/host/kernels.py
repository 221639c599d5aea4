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

TRIAL = 20.0
"""Seconds in which a kernel's private sockets must appear where that is not certain."""
ASK_TIMEOUT = 30.0
MOST_MESSAGES = 1 << 14
"""Messages that ZMQ holds for one reader while the server is busy, instead of a thousand, where the kernel drops."""
OWN = ("ipykernel_launcher", "ipykernel")
"""The modules that are an ipykernel by name."""
ASK = """
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


def module_of(command):
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


def is_local(spec):
    """Whether kernels of a kernelspec are processes on this machine that Jupyter itself starts."""
    provisioner = (spec.metadata or {}).get("kernel_provisioner") or {}
    return provisioner.get("provisioner_name", "local-provisioner") == "local-provisioner"


def is_ipykernel(command, environment):
    """Whether a module's Python says that the module is an ipykernel."""
    python, at = module_of(command)
    null = subprocess.DEVNULL
    words = [*command[python:at], "-c", ASK, command[at + 1]]
    try:
        asked = subprocess.run(
            words, cwd="/", env=environment, stdin=null, stdout=null, stderr=null, timeout=ASK_TIMEOUT
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return asked.returncode == 0


class Start(object):
    """The file in the runtime directory that starts an ipykernel by `code`."""

    def __init__(self, runtime, code):
        self._path = os.path.join(runtime, "farlab-kernel")
        # in names of its own: the kernel's `__main__` is this file's
        self._text = "import sys\nexec(%r, {'__name__': 'farlab'})\n" % (code + "\nmain(sys.argv.pop(1))\n")

    def path(self):
        """Where it is, made again if somebody cleaned it away; "" where that cannot be."""
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


class Ways(object):
    """What is known of the kernelspecs. `start`: what starts an ipykernel; `only_private`: whether no other may run."""

    def __init__(self, start, only_private, tell_open):
        self._start, self._only_private, self._tell_open = start, only_private, tell_open
        self._can, self._watched, self._told = {}, set(), set()

    # what a kernelspec can -------------------------------------------------------------------------------

    def learn(self, spec, command):
        """Find out whether kernels of `spec` know private sockets. May ask a Python, and take its time."""
        key, found = key_of(spec), module_of(command)
        if key in self._can:
            return
        if found is None or not is_local(spec):
            self._can[key] = False
            return
        python, at = found
        is_own = command[at + 1] in OWN
        self._can[key] = is_own or (python == 0 and is_ipykernel(command, dict(os.environ, **(spec.env or {}))))
        if self._can[key] and not (is_own and python == 0):
            self._watched.add(key)

    def arrange(self, manager):
        """Before `manager` starts its kernel for the first time: how it talks."""
        if hasattr(manager, "farlab_private"):
            return
        spec = manager.kernel_spec
        found = module_of(spec.argv)
        if found and found[0] == 0 and spec.argv[found[1] + 1] in OWN:
            self.learn(spec, spec.argv)  # nothing is asked
        is_ipc = self._can.get(key_of(spec), False)
        is_private = is_ipc or (is_local(spec) and encrypt(manager))
        if self._only_private and not is_private:
            raise refusal(manager.kernel_name)
        manager.farlab_private, manager.farlab_ipc = is_private, is_ipc
        if is_local(spec):
            talk_over(manager, "ipc" if is_ipc else "tcp")

    def command(self, manager, words):
        """The command of a kernel that talks over private sockets, by way of our file."""
        found = module_of(words) if getattr(manager, "farlab_ipc", False) else None
        if found is None or not self._start.path():
            return words
        return [*words[: found[1]], self._start.path(), *words[found[1] + 1 :]]

    # the first start -------------------------------------------------------------------------------------

    async def start(self, kernels, start, kwargs):
        """Start a kernel of `kernels`, the server's manager of them all, by its own `start`."""
        loop = asyncio.get_event_loop()
        spec = kernels.kernel_spec_manager.get_kernel_spec(kwargs.get("kernel_name") or kernels.default_kernel_name)
        await loop.run_in_executor(None, self.learn, spec, resolved(spec.argv))
        kernel_id = await start(kernels, **kwargs)
        manager = kernels.get_kernel(kernel_id)
        key = key_of(spec)
        if key in self._watched and getattr(manager, "farlab_ipc", False):
            if not await has_come(manager):
                self._can[key] = False
                await settled(kernels.shutdown_kernel(kernel_id, now=True))
                kernel_id = await start(kernels, **dict(kwargs, kernel_id=kernel_id))
            self._watched.discard(key)
        manager = kernels.get_kernel(kernel_id)
        if not getattr(manager, "farlab_private", True):
            await loop.run_in_executor(None, self._say_open, manager.kernel_name)
        return kernel_id

    def _say_open(self, name):
        """That a kernel of this kind runs, once. Nobody may be there to hear it: then the next one is told of."""
        if name not in self._told:
            with contextlib.suppress(OSError, ValueError):
                self._tell_open(name)
                self._told.add(name)


def key_of(spec):
    """What tells a kernelspec from another, or from what it was before it was edited."""
    return spec.resource_dir, tuple(spec.argv), tuple(sorted((spec.env or {}).items()))


def resolved(command):
    """The command with the Python that Jupyter takes for a mere `python`: its own."""
    import sys

    names = ["python", "python%d" % sys.version_info[0], "python%d.%d" % sys.version_info[:2]]
    return [sys.executable, *command[1:]] if command and command[0] in names else list(command)


def refusal(name):
    from tornado.web import HTTPError

    return HTTPError(403, REFUSAL.replace("%s", name).replace("%", "%%"))


def talk_over(manager, transport):
    """Whatever the person's configuration says: it may speak of other addresses, which others would hear."""
    manager.transport = transport
    manager.ip = os.path.splitext(manager.connection_file)[0] + "-ipc" if transport == "ipc" else "127.0.0.1"
    if manager.has_trait("cache_ports"):
        manager.cache_ports = transport == "tcp"


def encrypt(manager):
    """Have a kernel encrypt what it says, where it declares that it can; whether it will."""
    try:
        if not manager._kernel_supports_curve_encryption():
            return False
        manager.transport_encryption = "required"
    except Exception:  # a version without it, or a ZMQ without: TraitError, AttributeError …
        return False
    return True


async def has_come(manager):
    """Whether a kernel makes its private sockets in time."""
    deadline = time.monotonic() + TRIAL
    while time.monotonic() < deadline:
        if os.path.exists("%s-%d" % (manager.ip, manager.shell_port)):
            return True
        if manager.has_kernel and not await settled(manager.is_alive()):
            return False
        await asyncio.sleep(0.05)
    return False


async def settled(value):
    """What a call of Jupyter's comes to, of which some versions and managers make a coroutine."""
    return await value if hasattr(value, "__await__") else value


def install(runtime, start_code, only_private, tell_open):
    """`start_code`: what starts an ipykernel. `tell_open(name)`: a kernel runs that others on the host can read."""
    start = Start(runtime, start_code)
    start.path()
    ways = Ways(start, only_private, tell_open)
    with contextlib.suppress(ImportError, AttributeError):
        patch_managers(ways)
    with contextlib.suppress(ImportError, AttributeError):
        patch_server(ways)


def patch_managers(ways):
    """Every kernel that is started in this process, by whichever extension."""
    from jupyter_client.manager import AsyncKernelManager, KernelManager

    for kind in (KernelManager, AsyncKernelManager):
        for name in ("_async_pre_start_kernel", "pre_start_kernel"):
            if name in vars(kind):
                setattr(kind, name, arranged(ways, getattr(kind, name)))
    format_kernel_cmd, connect_iopub = KernelManager.format_kernel_cmd, KernelManager.connect_iopub
    cleanup_ipc_files = KernelManager.cleanup_ipc_files

    def format_for_us(self, *args, **kwargs):
        return ways.command(self, format_kernel_cmd(self, *args, **kwargs))

    def connect_for_us(self, *args, **kwargs):
        sock = connect_iopub(self, *args, **kwargs)
        if not getattr(self, "farlab_ipc", False):
            sock.rcvhwm = MOST_MESSAGES
        return sock

    def cleanup_for_us(self):
        cleanup_ipc_files(self)
        with contextlib.suppress(OSError):
            os.unlink("%s-f" % self.ip)

    KernelManager.format_kernel_cmd = format_for_us
    KernelManager.connect_iopub = connect_for_us
    KernelManager.cleanup_ipc_files = cleanup_for_us


def arranged(ways, pre_start):
    def pre_start_for_us(self, *args, **kwargs):
        ways.arrange(self)
        return pre_start(self, *args, **kwargs)

    return pre_start_for_us


def patch_server(ways):
    """What the server's clients ask for: how a kernel talks is among what they are told of it."""
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    start_kernel, kernel_model = MappingKernelManager.start_kernel, MappingKernelManager.kernel_model

    async def start_for_us(self, *args, **kwargs):
        if args or kwargs.get("kernel_id") in self:
            return await start_kernel(self, *args, **kwargs)
        return await ways.start(self, start_kernel, kwargs)

    def model_for_us(self, kernel_id):
        model = kernel_model(self, kernel_id)
        is_private = getattr(self.get_kernel(kernel_id), "farlab_private", None)
        return model if is_private is None else dict(model, farlab_private=is_private)

    MappingKernelManager.start_kernel = start_for_us
    MappingKernelManager.kernel_model = model_for_us
