"""How a Jupyter that is started through itself is led to our configuration. Python 3.6, standard library."""

import os

VARIABLE = "JUPYTER_CONFIG_PATH"


def config_place(runtime: str) -> str:
    """The directory of our configuration."""
    return os.path.join(runtime, "config")


def options(runtime: str) -> "list[str]":
    """On its command line. The socket here, too: a server that does not read our file must open no port."""
    sock, file = os.path.join(runtime, "server.sock"), os.path.join(config_place(runtime), "whole.py")
    return ["--no-browser", "--ServerApp.sock=" + sock, "--ServerApp.config_file=" + file]
