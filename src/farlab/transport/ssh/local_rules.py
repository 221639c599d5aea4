"""What goes wrong on this machine, before anything reaches a host: `ssh` itself, its configuration, what leads to the
network, what it runs to get there. Pure data; the order matters.
"""

from __future__ import annotations

from ...errors import CannotAsk, Internal, Unreachable, Usage
from .rule import Rule, rule

_SHOWS = "`{ssh -G HOST}` shows what your configuration says, and connects to nothing"

PROGRAM: tuple[Rule, ...] = (
    rule(
        r"^(?:\S*/)?ssh: (?P<why>error while loading shared libraries: .*|symbol lookup error: .*|relocation error: .*"
        r"|\S+: version `.*)$",
        Internal,
        "`ssh` does not start on this machine: {why}",
        "`env -u LD_LIBRARY_PATH -u LD_PRELOAD {ssh -V}` shows whether it starts without the libraries of another "
        "program (conda, MATLAB); if so, unset these variables or leave that environment",
    ),
    rule(
        r"^(?P<why>OpenSSL version mismatch\. .*|dyld(?:\[\d+\])?: .*)$",
        Internal,
        "`ssh` does not start on this machine: {why}",
        "`env -u LD_LIBRARY_PATH -u DYLD_LIBRARY_PATH {ssh -V}` shows whether it starts without the libraries of "
        "another program (conda, MATLAB); else reinstall the OpenSSH client",
    ),
    rule(
        r"^(?:\S+ )?.*ssh: (?P<why>cannot execute.*|[Ee]xec format error.*|[Bb]ad CPU type.*)$",
        Internal,
        "`ssh` does not start on this machine: {why}",
        "`command -v ssh` shows which program that is; reinstall the OpenSSH client, or correct `PATH`",
    ),
    rule(
        r"^No user exists for uid|^You don't exist, go away",
        Internal,
        "`ssh` does not know who you are on this machine",
        "`id` shows whether this machine knows your user",
    ),
    rule(
        r"^(?:\S*ssh: )?(?P<why>(?:unknown|illegal|unrecognized|invalid) option -- .*)$",
        Internal,
        "this `ssh` does not accept farlab's options: {why}",
        "`ssh -V` shows its version; farlab needs OpenSSH 7.4 or newer",
    ),
)

CONFIGURATION: tuple[Rule, ...] = (
    rule(
        r"^command-line:? line 0: (?P<why>.*)$",
        Internal,
        "this `ssh` does not accept farlab's options: {why}",
        "`ssh -V` shows its version; farlab needs OpenSSH 7.4 or newer",
    ),
    rule(
        r"^Bad owner or permissions on (?P<file>.+)$",
        Usage,
        "`ssh` does not trust `{file}`: others may write to it",
        "`chmod 600 {file}`",
        plain="make the file writable by you alone",
    ),
    rule(
        r"^Can't open user config file (?P<file>.+?): (?P<why>.*)$",
        Usage,
        "`ssh` cannot read `{file}`: {why}",
        "name an existing file with `-F`",
    ),
    rule(
        r"^\w*expand: env var \$\{(?P<variable>\w+)\} has no value",
        Usage,
        "your `ssh` configuration for `{host}` uses the variable `{variable}`, which is not set here",
        "set and export it in this terminal, then run `{farlab connect HOST}` again",
    ),
    rule(
        r"^\w*expand: (?P<why>.*)$",
        Usage,
        "`ssh` cannot expand a value of your configuration for `{host}`: {why}",
        "correct it in `{config}`: `man ssh_config`, TOKENS, lists what each option accepts; " + _SHOWS,
    ),
    rule(
        r"^(?P<file>[^\n:]+?):? line (?P<line>\d+): (?P<why>Bad configuration option: .*)$",
        Usage,
        "`ssh` does not accept line {line} of `{file}`: {why}",
        "correct that line, or add `IgnoreUnknown` with the option's name above it; `{ssh -G HOST}` checks the file",
        needs=r"terminating, \d+ bad configuration",
    ),
    rule(
        r"^(?P<file>[^\n:]+?):? line (?P<line>\d+):? (?P<why>.*)$",
        Usage,
        "`ssh` does not accept line {line} of `{file}`: {why}",
        "correct that line; `{ssh -G HOST}` checks the file",
        needs=r"terminating, \d+ bad configuration",
    ),
    rule(
        r"^Too many recursive configuration includes",
        Usage,
        "your `ssh` configuration includes itself",
        "`grep -rni include ~/.ssh/` shows the `Include` lines: remove the one that leads back",
    ),
    rule(
        r"^ControlPath too long|^unix_listener: path .* too long",
        Usage,
        "the `ControlPath` that your configuration sets for `{host}` is too long for a socket",
        "make it shorter in `{config}`, for example `ControlPath ~/.ssh/cm-%n`",
    ),
    rule(
        r"^ssh: Could not resolve host \"(?P<place>[^\"\n]*)\"",
        Unreachable,
        "unknown host `{place}`: no domain of `CanonicalDomains` knows it",
        "are you on its network or VPN? `{ssh -G HOST}` looks the name up again; `CanonicalizeFallbackLocal yes` in "
        "`{config}` lets `ssh` try the name as it is",
    ),
    rule(
        r"^hostname contains invalid characters|^ssh: Could not resolve hostname -|^usage: ssh \[",
        Usage,
        "`ssh` does not accept `{host}` as a host name",
        "give what you would type after `ssh`: an alias of `{config}`, `user@host`, or `ssh://user@host:port`",
    ),
    rule(
        r"^remote username contains invalid characters",
        Usage,
        "`ssh` does not accept the user name of `{host}`",
        "correct `User` in `{config}`, or what stands before the `@`",
    ),
    rule(
        r"^Bad (?P<why>(?:port|local forwarding|remote forwarding|dynamic forwarding|escape|tun).*)$",
        Usage,
        "`ssh` does not accept its configuration for `{host}`: bad {why}",
        _SHOWS,
    ),
    rule(
        r"^(?:fork(?: failed)?|socket|pipe|Could not create [^:\n]*): "
        r"(?P<why>(?:Too many open files|Resource temporarily|Cannot allocate|No buffer space).*)$",
        Unreachable,
        "this machine has no room for another `ssh`: {why}",
        "end some of what runs here; `ulimit -a` shows the limits of this shell",
    ),
    rule(
        r"^bind:? (?P<why>.*)$",
        Unreachable,
        "this machine cannot connect from the address that `BindAddress` names: {why}",
        "is the VPN up that gives this machine the address? `{ssh -G HOST}` shows `bindaddress`, `{config}` sets it",
        needs=r"^ssh: connect to ",
    ),
    rule(
        r"^getaddrinfo: (?P<place>.+?): (?P<why>.*)$",
        Unreachable,
        "this machine cannot connect from `{place}`, which `BindAddress` names: {why}",
        "is the VPN up that gives this machine the address? `{ssh -G HOST}` shows `bindaddress`, `{config}` sets it",
    ),
    rule(
        r"^socket: (?P<why>.*)$",
        Unreachable,
        "this machine cannot open a connection to `{host}`: {why}",
        "`{ssh -v HOST}` shows every step, `{ssh -G HOST}` the `addressfamily`: this machine must have it",
        needs=r"^ssh: connect to ",
    ),
    rule(
        r"^getifaddrs: (?P<why>.*)$",
        Unreachable,
        "this machine cannot connect from the interface that `BindInterface` names: {why}",
        "is the VPN up that makes it? `{ssh -G HOST}` shows `bindinterface`, `{config}` sets it",
    ),
    rule(
        r"^ssh: Could not resolve hostname (?P<place>\S+?): (?:Address family for hostname not supported|ai_family .*"
        r"|No address associated with hostname|No address family.*|Address family not supported.*)$",
        Unreachable,
        "`{place}` has no address of the kind that `AddressFamily` allows",
        "`{ssh -G HOST}` shows `addressfamily`: set it to `any` for this host in `{config}`",
    ),
    rule(
        r"^ssh: connect to host (?P<place>\S+) port (?P<port>\d+): (?P<why>Address family not supported.*)$",
        Unreachable,
        "this machine has no network of the kind that `{place}` needs: {why}",
        "`{ssh -G HOST}` shows `addressfamily`: does `AddressFamily any` help? `{ssh -4 HOST true}` tries IPv4",
    ),
)

WAY: tuple[Rule, ...] = (
    rule(
        r"/dev/tty\b.*(?:[Nn]o such device|not configured|[Ii]nappropriate ioctl|[Nn]ot a typewriter)|GetPassWarning"
        r"|[Ii]nappropriate ioctl for device|not a (?:tty|TTY|terminal)\b|[Nn]o (?:tty|TTY|terminal)\b"
        r"|could not open.* (?:TTY|tty)|EOFError: EOF when reading a line",
        CannotAsk,
        "what leads to `{host}` (its `ProxyCommand`) asks something on the terminal, and nobody is there to answer",
        "run `{farlab connect HOST}` in a terminal; if it asks for more than lines of text, log in with that program "
        "first, or share a connection: `{ssh -fNM -o ControlPath=~/.ssh/cm-%n HOST}`, with "
        "`ControlPath ~/.ssh/cm-%n` for this host in `{config}`",
    ),
)
"""What a program that `ssh` runs to reach a host says."""
