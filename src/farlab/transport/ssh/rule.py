"""What a rule is: one text that `ssh`, or what it runs, can print, and the error that it means. Pure.

`{host}` is what the user typed, `{farlab …}`, `{ssh …}` and `{config}` are filled in by `advice`, other names are
groups of the pattern, `{told}` is the last line that says more. A rule with `may_ask` set applies only where somebody
can (True) or cannot (False) be asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import FarlabError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One text that can be printed, and the error that it means."""

    pattern: re.Pattern[str]
    error: type[FarlabError]
    message: str
    hint: str
    needs: re.Pattern[str] | None = None
    """The rule applies only where this is found too."""
    may_ask: bool | None = None
    is_unanswered: bool = False
    """Whether it means that nothing came back from any host."""
    plain: str = ""
    """The hint where a group is not as `explain.SAFE` has it: every hint with a group has one."""


def rule(
    pattern: str,
    error: type[FarlabError],
    message: str,
    hint: str,
    *,
    needs: str = "",
    may_ask: bool | None = None,
    plain: str = "",
    is_unanswered: bool = False,
) -> Rule:
    """A rule, its patterns for whole lines."""
    needed = re.compile(needs, re.MULTILINE) if needs else None
    found = re.compile(pattern, re.MULTILINE)
    return Rule(
        pattern=found,
        error=error,
        message=message,
        hint=hint,
        needs=needed,
        may_ask=may_ask,
        plain=plain,
        is_unanswered=is_unanswered,
    )
