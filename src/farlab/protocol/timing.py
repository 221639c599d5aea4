"""How long the host waits for what, in seconds; a session's spec may say otherwise. Pure; Python 3.6."""

from farlab.protocol.records import Number, Record


class Timing(Record):
    """Everything at its default, but for what the spec says."""

    shell = Number(0.01, 1e6, 20.0)
    """The login shell may take this long to come to our command."""
    start = Number(0.01, 1e6, 90.0)
    """From there to the first HTTP answer."""
    install = Number(0.01, 1e6, 660.0)
    """An installation; the launcher gives up before that."""
    probe = Number(0.01, 1e6, 5.0)
    """Between two probes of the server, and for the answer to each."""
    shutdown = Number(0.01, 1e6, 5.0)
    """A server that was asked to shut down, or got a SIGTERM, may take this long to end."""
    unresponsive = Number(0.01, 1e6, 3.0)
    """The same for a server that does not answer."""
    first_link = Number(0.01, 1e6, 30.0)
    """The link that started the session must be joined within this time."""
    farewell = Number(0.01, 1e6, 3.0)
    """Keepers have this long to hear how the server ended."""
    hello = Number(0.01, 1e6, 60.0)
    """A link must have said whose it is within this time."""
    away = Number(0.01, 1e6, 8.0)
    """A keeper that sends nothing for so long is away, though its link stands: it sends something every three."""
    silence = Number(0.01, 1e6, 1800.0)
    """A link that brings nothing for so long counts as dead, so that its `sshd` does not stay for ever."""

    def with_patience(self, seconds: "float | None") -> "Timing":
        """Where nothing else is said, a start may take as long as the user waits, but for the time to tell why."""
        if seconds:
            for name in ("shell", "start"):
                vars(self).setdefault(name, max(seconds - 3.0, 1.0))
        return self
