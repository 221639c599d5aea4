"""Asks the user at the terminal what `ssh` or farlab wants to know, and shows what a command is waiting for.

Rule: it asks on the terminal itself, so that stdout stays for data; without a terminal `ask` is None and nothing waits
for an answer. Secrets are not echoed, and the terminal is restored however a question ends.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType, TracebackType

from ..errors import Declined, FarlabError, Usage
from ..model import Kernel, Progress, Prompt, Question, QuestionKind
from ..sanitize import clean, clean_line, clean_value
from ..text.messages import kernel_text, loss_text
from ..text.progress import ProgressLine
from .context import CommandContext


class Prompter:
    """The terminal, if there is one, for the length of one command: `with Prompter(context) as prompter: …`."""

    def __init__(self, context: CommandContext, *, first: str = "connecting") -> None:
        """`first` is what the command waits for until it says more; "" for nothing."""
        self._session = context.session
        self._progress = ProgressLine(context.host, verbose=context.mode.verbose, first=first)
        self._terminal = open_terminal()
        self._refusal: FarlabError | None = None
        self._cancelled: FarlabError | None = None
        self.ask: Prompt | None = self._ask if self._terminal is not None else None

    def __enter__(self) -> Prompter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.close()
        if self._terminal is not None:
            self._terminal.close()
        if self._refusal is not None and (error is None or isinstance(error, FarlabError)):
            raise self._refusal from error
        if self._cancelled is not None and isinstance(error, FarlabError):
            raise self._cancelled from error

    @property
    def has_terminal(self) -> bool:
        """Whether there is a terminal to ask on."""
        return self._terminal is not None

    def report(self, progress: Progress) -> None:
        """Show what the command is waiting for."""
        self._progress.report(progress)

    def until_first(self, lines: Iterable[str]) -> Iterator[str]:
        """`lines`; nothing is shown any more of what was waited for when they come."""
        for line in lines:
            self._progress.close()
            yield line

    def confirm(self, kernels: tuple[Kernel, ...]) -> bool:
        """Ask whether to end these kernels. Without a terminal the answer is no, and the command fails."""
        if self._terminal is None:
            named = ", ".join(clean_line(kernel_text(kernel)) for kernel in kernels)
            message = f"refusing to end busy kernels without a terminal to ask on: {named}"
            self._refusal = Usage(message, hint="nothing was changed; `{farlab terminate HOST --yes}` ends them")
            return False
        with self._progress.paused():
            self._terminal.show(clean(loss_text(self._session, clean_value(kernels))) + "\n")
            answer = self._terminal.ask("terminate anyway? [y/N] ", is_secret=False)
        if answer is not None and answer.strip().lower() in ("y", "yes"):
            return True
        self._refusal = Declined("not terminated; nothing was changed", hint="")
        return False

    def _ask(self, question: Question) -> str | None:
        assert self._terminal is not None  # noqa: S101 - `ask` is None without one
        prompt = clean(question.prompt)
        with self._progress.paused():
            if question.kind is QuestionKind.NOTICE:
                self._terminal.show(prompt.rstrip("\n") + "\n")
                return ""
            answer = self._terminal.ask(prompt, is_secret=question.kind is QuestionKind.SECRET)
        if answer is None:
            self._cancelled = Declined("cancelled at an `ssh` prompt", hint="")
        return answer


class Terminal:
    """A terminal to read answers from: `/dev/tty`, else stdin with stderr."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self._in = read_from
        self._out = write_to

    def show(self, text: str) -> None:
        """Write text, cleaned by the caller."""
        os.write(self._out, text.encode("utf-8", "replace"))

    def ask(self, prompt: str, *, is_secret: bool) -> str | None:
        """One line as typed, without its newline; None for Ctrl-C or Ctrl-D."""
        try:
            with _hidden(self._in, lambda: self.show(prompt)) if is_secret else nullcontext():
                self.show(prompt)
                return self._line()
        except KeyboardInterrupt:
            if not is_secret:
                self.show("\n")
            return None
        finally:
            if is_secret:  # the newline that was typed was not shown either
                self.show("\n")

    def close(self) -> None:
        if self._in > 2:
            os.close(self._in)

    def _line(self) -> str | None:
        typed = b""
        while not typed.endswith(b"\n"):
            more = os.read(self._in, 4096)
            if not more:
                return None
            typed += more
        return typed.removesuffix(b"\n").decode("utf-8", "surrogateescape")


def open_terminal() -> Terminal | None:
    """The terminal of this process, or None where there is none."""
    with suppress(OSError):
        controlling = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        return Terminal(controlling, controlling)
    if sys.stdin is not None and sys.stdin.isatty():
        return Terminal(0, 2)
    return None


@contextmanager
def _hidden(terminal: int, prompt_again: Callable[[], None]) -> Iterator[None]:
    """Switch the echo of `terminal` off, except while we are stopped (Ctrl-Z) and after we are killed."""
    before = termios.tcgetattr(terminal)
    quiet = list(before)
    quiet[3] &= ~termios.ECHO

    def restore() -> None:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)

    def pass_on(number: int, frame: FrameType | None) -> None:
        restore()
        ours = signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # ends here, or sleeps here until the shell wakes us
        signal.signal(number, ours)
        termios.tcsetattr(terminal, termios.TCSAFLUSH, quiet)
        prompt_again()

    with _caught((signal.SIGTSTP, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT), pass_on):
        try:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, quiet)
            yield
        finally:
            restore()


@contextmanager
def _caught(numbers: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle these signals with `handler` for a while. Only the main thread can; other threads leave them alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(number, signal.signal(number, handler)) for number in numbers]
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)
