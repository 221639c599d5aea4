"""The users with an account on the bed's hosts: their login shells and what their rc files do.

The password of all is `letmein`. Who may log in with what stands in `base_image.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PASSWORD = "letmein"
PASSPHRASE = "open sesame"
ONE_TIME_SECRET = "3132333435363738393031323334353637383930"
"""Hex; the test secret of RFC 4226 and 6238. `oathtool --hotp -c N SECRET`, `oathtool --totp SECRET`."""

NOISE = r"""echo "Welcome to the cluster!  Quota: 93% used"
printf '\033]0;a title\007'
echo "a warning from the rc file" >&2
"""
DEBIAN_BASHRC_TOP = """case $- in
    *i*) ;;
      *) return;;
esac
"""
LAB_BIN = "@LAB@/bin"
"""Stands in rc files for the directory of the host's Jupyter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One account. `rc` maps a path below the home to its text."""

    name: str
    uid: int
    what: str
    shell: str = "/bin/bash"
    home: str = ""
    rc: dict[str, str] = field(default_factory=dict)
    bare_path: bool = False
    """`PATH` as sshd gives it is `/usr/bin:/bin`, without the host's Jupyter."""

    @property
    def home_path(self) -> str:
        return self.home or f"/home/{self.name}"


_LONG_HOME = ("/home/department-of-very-long-names/institute-for-paths/group-of-deep-directories/users/" + "l" * 99)[
    :100
]
_BARE = "export PATH=/usr/bin:/bin\n"

_EVERYONE = (
    User(name="alice", uid=2001, what="bash, nothing special"),
    User(
        name="bob",
        uid=2002,
        what="bash; rc files print on both streams, set a title, change directory; a banner",
        rc={".bashrc": NOISE + "cd /tmp\n", ".bash_profile": NOISE + "cd /tmp\n"},
    ),
    User(
        name="zoe",
        uid=2003,
        what="zsh; talks, changes directory",
        shell="/usr/bin/zsh",
        rc={".zshenv": NOISE, ".zshrc": "cd /tmp\n"},
    ),
    User(
        name="finn",
        uid=2004,
        what="fish; talks, changes directory",
        shell="/usr/bin/fish",
        rc={".config/fish/config.fish": NOISE + "cd /tmp\n"},
    ),
    User(
        name="dan",
        uid=2005,
        what="dash; talks, changes directory",
        shell="/bin/dash",
        rc={".profile": NOISE + "cd /tmp\n"},
    ),
    User(
        name="tess",
        uid=2006,
        what="tcsh; talks, changes directory",
        shell="/bin/tcsh",
        rc={".cshrc": 'echo "Welcome to the cluster!  Quota: 93% used"\nsh -c "echo a warning >&2"\ncd /tmp\n'},
    ),
    User(name="nolan", uid=2007, what="no login", shell="/usr/sbin/nologin"),
    User(name="otto", uid=2010, what="password, then a time-based code (works once in 30 s)"),
    User(name="hal", uid=2011, what="password, then a counter-based code"),
    User(name="pia", uid=2012, what="password only"),
    User(name="kim", uid=2013, what="a key with a passphrase"),
    User(name="lena", uid=2014, what="a home path of 100 characters", home=_LONG_HOME),
    User(name="mallory", uid=2015, what="another user on the host, who attacks"),
    User(name="max", uid=2016, what="MaxSessions 1 and DisableForwarding yes"),
    User(
        name="sam",
        uid=2017,
        what="bash; rc files take a second",
        rc={".bashrc": "sleep 1\n", ".bash_profile": ". ~/.bashrc\n"},
    ),
    User(
        name="tim",
        uid=2018,
        what="bash; an interactive shell outside tmux becomes tmux",
        rc={".bashrc": 'case $- in *i*) [ -z "$TMUX" ] && exec tmux ;; esac\n', ".bash_profile": ". ~/.bashrc\n"},
    ),
    User(
        name="nojup", uid=2019, what="no Jupyter on PATH", bare_path=True, rc={".bashrc": _BARE, ".bash_profile": _BARE}
    ),
    User(
        name="cora",
        uid=2020,
        what="Jupyter on PATH in interactive shells only, as conda does it",
        bare_path=True,
        rc={".bashrc": DEBIAN_BASHRC_TOP + f"export PATH={LAB_BIN}:$PATH\n", ".bash_profile": _BARE + ". ~/.bashrc\n"},
    ),
    User(name="rita", uid=2021, what="has an XDG_RUNTIME_DIR, as under systemd"),
    User(
        name="hank",
        uid=2022,
        what="bash; the interactive rc file never ends",
        rc={".bashrc": DEBIAN_BASHRC_TOP + "sleep 100000\n", ".bash_profile": ". ~/.bashrc\n"},
    ),
    User(
        name="reed",
        uid=2023,
        what="bash; the interactive rc file reads standard input",
        rc={".bashrc": DEBIAN_BASHRC_TOP + "read -r answer\n", ".bash_profile": ". ~/.bashrc\n"},
    ),
)
USERS: dict[str, User] = {user.name: user for user in _EVERYONE}
