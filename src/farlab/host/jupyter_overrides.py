"""Sets what a session needs of the server, whatever the user's configuration says. Python 3.6; runs in the server.

An option on the command line loses against a more special section of the user's configuration (of an identity
provider, of a subclass of theirs). So we set these values on the server's object, after it has applied all
configuration and before it uses it. The anchor checks the result from outside before a session counts as up.
"""

import os

from farlab.host.failure import Failure
from farlab.protocol.launcher import Serving

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Step = Callable[[Any, Callable[[], object]], object]

STEPS = ("init_configurables", "init_webapp", "init_httpserver", "start_app")
"""Of every Jupyter Server since 1.9, in this order; the last but one listens."""
HELD = {
    "port": 8888,  # any other is refused beside a socket
    "ip": "localhost",
    "sock_mode": "0600",
    **dict.fromkeys(("certfile", "keyfile", "client_ca"), ""),  # no TLS inside the mux
    "websocket_url": "",  # the page's kernels are where the page is
    "allow_remote_access": False,  # the host name of each request is looked at
    "open_browser": False,
    "allow_root": True,  # who logs in as root has decided that; the socket is root's alone
    "file_to_run": "",  # refused beside a socket
}


class Overrides(object):
    """`report` sends a request to the anchor; the server enters `directory` once it has read its configuration."""

    def __init__(self, runtime: str, token: str, directory: str, report: "Callable[..., object]") -> None:
        self._sock = os.path.join(runtime, "server.sock")
        self._token, self._directory, self._report = token, directory, report

    def install(self) -> None:
        """Take part in the server's start."""
        from jupyter_server.serverapp import ServerApp

        missing = [step for step in STEPS if not callable(getattr(ServerApp, step, None))]
        if missing or "sock" not in ServerApp.class_trait_names():
            message = "this Jupyter Server cannot listen on a private socket"
            raise Failure("no-jupyter", message, detail=" ".join(missing), hint="old")
        for step in STEPS:
            setattr(ServerApp, step, self._around(getattr(self, step), getattr(ServerApp, step)))

    def _around(self, ours: "Step", theirs: "Callable[..., object]") -> "Callable[..., object]":
        def step(app: "Any", *args: "Any", **kwargs: "Any") -> object:
            return ours(app, lambda: theirs(app, *args, **kwargs))

        return step

    def init_configurables(self, app: "Any", go: "Callable[[], object]") -> None:
        # not before: old versions read a configuration in the working directory, which may be anybody's
        os.chdir(self._directory)
        self._hold(app)
        go()

    def init_webapp(self, app: "Any", go: "Callable[[], object]") -> None:
        """The kernels' WebSockets are not pinged: they live through hours without a link."""
        self._hold(app)
        set_token(app, self._token)
        app.tornado_settings = dict(app.tornado_settings, ws_ping_interval=0, token=self._token)
        go()
        settings = app.web_app.settings
        settings["page_config_hook"] = with_node_name(settings.get("page_config_hook"))
        settings["local_hostnames"] = _LocalNames(["localhost", *(settings.get("local_hostnames") or ())])

    def init_httpserver(self, app: "Any", go: "Callable[[], object]") -> None:
        if app.sock != self._sock or app.ssl_options:
            raise Failure("server-failed", "the server's configuration makes it listen elsewhere", None)
        setting, who = doorkeeper(app)
        root, home = (shown(path) for path in (os.path.realpath(app.root_dir), os.path.expanduser("~")))
        serving = Serving(
            op="serving", base_url=app.base_url, setting=setting, doorkeeper=who, root=root, named_home=home
        )
        self._report(serving)
        go()

    def start_app(self, app: "Any", go: "Callable[[], object]") -> None:
        """The server writes the token into files that are for its user only."""
        umask = os.umask(0o077)
        try:
            go()
        finally:
            os.umask(umask)

    def _hold(self, app: "Any") -> None:
        for name, value in dict(HELD, sock=self._sock, ssl_options={}).items():
            if app.has_trait(name):
                setattr(app, name, value)


def with_node_name(theirs: "Callable[[Any, Any], Any] | None") -> "Callable[[Any, Any], Any]":
    """A `page_config_hook` of JupyterLab and Notebook 7 that puts this machine's name into the title of each page."""

    def hook(handler: "Any", config: "Any") -> "Any":
        config = theirs(handler, config) if theirs else config
        name = config.get("appName") or "JupyterLab"
        config["appName"] = "%s - %s" % (os.uname().nodename.split(".")[0], name)
        return config

    return hook


def set_token(app: "Any", token: str) -> None:
    """Make `token` the one that lets in: of the identity provider, before 2.0 of the server itself."""
    holder = getattr(app, "identity_provider", app)
    try:
        holder.token = token
        for name in ("token_generated", "_token_generated"):  # else it is shown in the log
            if hasattr(holder, name):
                setattr(holder, name, False)
        if isinstance(getattr(holder, "settings", None), dict):  # of a LegacyIdentityProvider
            holder.settings = dict(holder.settings, token=token)
    except Exception as error:
        setting, who = doorkeeper(app)
        message = "`c.%s` is `%s`, which does not accept a token from farlab" % (setting, who)
        raise Failure("server-failed", message, "%s: %s" % (type(error).__name__, error), "login") from None


def shown(path: str) -> str:
    """A path as others read it."""
    return os.fsencode(path).decode("utf-8", "replace")


def doorkeeper(app: "Any") -> "tuple[str, str]":
    """Who decides whom the server lets in: the setting that names it, and its class."""
    setting = "ServerApp.identity_provider_class"
    kind = type(getattr(app, "identity_provider", None))
    if kind.__name__ in ("NoneType", "LegacyIdentityProvider"):
        setting, kind = "ServerApp.login_handler_class", app.login_handler_class
    return setting, "%s.%s" % (kind.__module__, kind.__name__)


class _LocalNames(list):  # type: ignore[type-arg] # Python 3.6 knows no other
    """Host names that mean this machine: the configured ones, and all below `.localhost` (RFC 6761).

    The browser comes as `HOST-NAME.localhost`, a name that each laptop chooses, since cookies ignore ports.
    """

    def __contains__(self, name: object) -> bool:
        return list.__contains__(self, name) or (isinstance(name, str) and name.endswith(".localhost"))
