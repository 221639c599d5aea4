"""The version, where reading it costs nothing: `importlib.metadata` costs 15 ms. Tests hold `pyproject.toml` to it."""

__version__ = "0.1.0"
