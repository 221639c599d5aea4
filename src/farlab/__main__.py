"""The command `farlab`, and `python -m farlab`: what comes before the imports, which take most of a short command."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Run one command; the exit status. Ctrl-C while Python still imports ends it without a word."""
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not where it is ignored: nohup, `&`
    if is_ours:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    if sys.argv[1:2] == ["connect"]:
        from .client import keeper_process

        keeper_process.start_early()
    from .cli import main

    if is_ours and "_FARLAB_COMPLETE" not in os.environ:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return main()


if __name__ == "__main__":
    raise SystemExit(main())
