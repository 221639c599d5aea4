"""The app that the launcher calls: see `serverapp.py`."""

from jupyter_server.serverapp import main

__all__ = ["main"]
