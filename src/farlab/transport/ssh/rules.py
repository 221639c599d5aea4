"""What `ssh` says of the way to a host and of the login. Pure data; the order matters."""

from __future__ import annotations

from ...errors import (
    Authentication,
    CannotAsk,
    HostKeyChanged,
    HostKeyUnknown,
    HostLacks,
    LinkLost,
    Unreachable,
)
from .rule import Rule
from .rule import rule as _rule
from .shell_rules import SHELL


def _mismatch(what: str, keyword: str) -> Rule:
    return _rule(
        rf"^Unable to negotiate with .*no matching {what} found\. Their offer: (?P<offer>[^,\s]+)",
        Unreachable,
        f"`{{host}}` and this `ssh` have no {what} in common",
        f"one of them is old: update it, or allow `{keyword} +{{offer}}` for this host in `{{config}}`",
        plain=f"one of them is old: update it, or allow with `{keyword}` what the other has in `{{config}}`",
    )


_SECRETS = r"^\S+: Permission denied \([^)\n]*(?:password|keyboard-interactive)[^)\n]*\)"
_KEY_OR_ANSWER = r"^\S+: Permission denied \([^)\n]*publickey[^)\n]*(?:password|keyboard-interactive)[^)\n]*\)"
_WAS_ASKED = r"^Permission denied, please try again"
"""Of a password alone: nothing tells in ssh's words whether a code was asked for."""
_DENIED = r"^(?:\S+: )?Permission denied \("
_CHANGED = r"^(?:\S+ )?[Hh]ost key for \S+ has changed and you have requested strict checking"
_FORGET = (
    "ask its administrators; if they confirm the change, remove the old key with `ssh-keygen -R` and the host's name "
    "in `~/.ssh/known_hosts`"
)
_UNVERIFIED = r"^Host key verification failed"
_CONNECT = r"^ssh: connect to (?:host|address) (?P<place>\S+) port (?P<port>\d+): "

SSH: tuple[Rule, ...] = (
    _rule(
        r"^ssh_askpass: exec\((?P<program>[^)\n]*)\): (?P<why>.*)$",
        CannotAsk,
        "`ssh` has a question about `{host}` and cannot run `{program}` to ask it: {why}",
        "run `ssh-add` first, so that `ssh` need not ask; you may have to reinstall farlab",
    ),
    _rule(
        r"^Timeout, server \S+ not responding|^Connection to \S+ closed by remote host"
        r"|^client_loop: send disconnect|^packet_write_wait: |^Write failed: Broken pipe"
        r"|^(?:Read from remote host|client_loop:) .*(?:reset|timed out|Broken pipe)",
        LinkLost,
        "the connection to `{host}` broke",
        "`{farlab list --host HOST}` shows whether the session runs, `{farlab connect HOST}` reconnects to it",
    ),
    # host keys
    _rule(
        # Debian and its children say how
        r"^ *ssh-keygen -f ['\"]?(?P<known_hosts>[^'\"\n]+?)['\"]? -R ['\"]?(?P<place>[^'\"\n]+?)['\"]? *$",
        HostKeyChanged,
        "the host key of `{host}` has changed",
        "ask its administrators; if they confirm the change, remove the old key with "
        '`ssh-keygen -f {known_hosts} -R "{place}"`',
        needs=_CHANGED,
        plain=_FORGET,
    ),
    _rule(
        r"ost key for (?P<place>\S+) has changed and you have requested strict checking",
        HostKeyChanged,
        "the host key of `{host}` has changed",
        "ask its administrators; if they confirm the change, remove the old key with `ssh-keygen -R '{place}'`",
        plain=_FORGET,
    ),
    _rule(
        r"REVOKED HOST KEY DETECTED|was revoked and you have requested strict checking",
        HostKeyChanged,
        "the host key of `{host}` has been revoked",
        "do not connect; ask its administrators",
    ),
    _rule(
        r"^Error checking host key \S+ \S+ in revoked keys file (?P<file>.+): (?P<why>.*)$",
        HostKeyUnknown,
        "`ssh` cannot look up whether the host key of `{host}` is revoked, in `{file}`: {why}",
        "`RevokedHostKeys` in `{config}` names that file: correct the line, or get the file from your administrators",
        needs=_UNVERIFIED,
    ),
    _rule(
        r"^No \S+ host key is known for (?P<place>\S+) and you have requested strict checking",
        HostKeyUnknown,
        "the host key of `{host}` is unknown, and your configuration forbids asking",
        "add the key that its administrators publish to `~/.ssh/known_hosts`, under the name `{place}`",
        plain="add the key that its administrators publish to `~/.ssh/known_hosts`",
    ),
    _rule(
        r"Certificate invalid: (?P<why>.*)$",
        HostKeyUnknown,
        "the host certificate of `{host}` is not valid: {why}",
        "is this machine's clock right? `date` shows it; if so, ask its administrators for a new certificate",
        needs=_UNVERIFIED,
    ),
    _rule(
        r"host key for '(?P<name>[^'\n]*)' differs from the key for the IP address '(?P<place>[^'\n]*)'",
        HostKeyUnknown,
        "the host key of `{host}` is known, but another one is known for its address `{place}`",
        "if the address is a new one of this host, remove the old key of the address with `ssh-keygen -R '{place}'`",
        plain="if the address is a new one of this host, remove the old key of the address with `ssh-keygen -R`",
        needs=_UNVERIFIED,
    ),
    _rule(
        _UNVERIFIED,
        HostKeyUnknown,
        "the host key of `{host}` is unknown, and nobody is at a terminal to confirm it",
        "run `{farlab connect HOST}` in a terminal, compare the fingerprint, and answer yes",
        may_ask=False,
    ),
    _rule(
        _UNVERIFIED,
        HostKeyUnknown,
        "the host key of `{host}` was not accepted",
        "compare the fingerprint with the one that its administrators publish, then run `{farlab connect HOST}` again",
    ),
    # the way to the server
    _rule(
        r"^ssh: Could not resolve hostname (?P<place>[^:\s]+|\S+?): Temporary failure",
        Unreachable,
        "cannot look up the name `{place}`",
        "is this machine online? `{ssh -v HOST}` tells more",
        is_unanswered=True,
    ),
    _rule(
        r"^ssh: Could not resolve hostname (?P<place>\S+?): ",
        Unreachable,
        "unknown host `{place}`",
        "is the name right, and are you on its network or VPN? `{ssh -G HOST}` shows how your configuration reads it",
        is_unanswered=True,
    ),
    _rule(
        _CONNECT + "Connection refused",
        Unreachable,
        "cannot reach `{host}`: nothing listens on port {port} of `{place}`",
        "is the port right, and the machine up? `{ssh -G HOST}` shows which port your configuration names",
    ),
    _rule(
        _CONNECT + "(?:Connection|Operation) timed out",
        Unreachable,
        "cannot reach `{host}`: `{place}` does not answer on port {port}",
        "are you on its network or VPN, and is the machine up? `{ssh -v HOST}` shows every step",
        is_unanswered=True,
    ),
    _rule(
        _CONNECT + "(?P<why>No route to host|Host is down|Host is unreachable)",
        Unreachable,
        "cannot reach `{host}`: no route to `{place}`",
        "are you on its network or VPN, and is the machine up? `{ssh -v HOST}` shows every step",
    ),
    _rule(
        _CONNECT + "Network is (?:unreachable|down)",
        Unreachable,
        "cannot reach `{host}`: this machine has no network to `{place}`",
        "is it online, and is the VPN up?",
        is_unanswered=True,
    ),
    _rule(
        _CONNECT + "(?P<why>.*)$",
        Unreachable,
        "cannot reach `{host}`: {why}",
        "`{ssh -v HOST}` shows every step; a firewall on this machine may be the reason",
    ),
    _rule(
        r"^(?:kex|ssh)_exchange_identification: .*banner line|^Bad remote protocol version|^Protocol major versions"
        r"|^(?:kex|ssh)_exchange_identification: No banner|^banner exchange: .* invalid format",
        Unreachable,
        "the server at `{host}` does not speak SSH",
        "is the port right? `{ssh -G HOST}` shows which your configuration names",
    ),
    _rule(
        r"^Connection timed out during banner exchange|^Connection to \S+ port \d+ timed out",
        Unreachable,
        "`{host}` accepts connections but sends no SSH banner",
        "it may be overloaded or starting: try again in a minute; `{ssh -v HOST}` shows every step",
    ),
    _rule(
        r"[Mm]essage authentication code incorrect|Connection corrupted|Corrupted (?:MAC|padding)|^Bad packet length"
        r"|^Disconnecting .*[Pp]acket corrupt|incorrect signature(?! type)",
        Unreachable,
        "data on the way to `{host}` arrives damaged",
        "a VPN, a router or a network card spoils it: try without the VPN or over another network; `{ssh -v HOST}` "
        "shows at which step",
    ),
    _rule(
        r"^ssh_dispatch_run_fatal: .*Invalid key length|^Bad server host key: Invalid key length",
        Unreachable,
        "the host key of `{host}` is too short for this `ssh`",
        "ask its administrators for a longer one; until then `RequiredRSASize 1024` for this host in `{config}` "
        "admits it",
    ),
    _rule(
        r"^ssh_dispatch_run_fatal: (?:Connection to \S+ port \d+: )?(?P<why>.*(?:timed out|Broken pipe|reset).*)$",
        Unreachable,
        "the connection to `{host}` broke during the key exchange: {why}",
        "if it always does, large packets may get lost on the way (MTU of a VPN): "
        "`{ssh -o KexAlgorithms=curve25519-sha256 HOST true}` sends smaller ones",
    ),
    _rule(
        r"^ssh_dispatch_run_fatal: (?:Connection to \S+ port \d+: )?(?P<why>.*)$",
        Unreachable,
        "the key exchange with `{host}` failed: {why}",
        "`{ssh -v HOST}` shows at which step",
    ),
    _rule(
        r"^(?:kex|ssh)_exchange_identification: |^banner exchange: Connection to ",
        Unreachable,
        "`{host}` closes the connection before the login{told}",
        "too many logins at once (`MaxStartups`), or this address is blocked for some minutes after failed ones: "
        "wait, then try `{ssh -v HOST}`",
    ),
    _mismatch("key exchange method", "KexAlgorithms"),
    _mismatch("host key type", "HostKeyAlgorithms"),
    _mismatch("cipher", "Ciphers"),
    _mismatch("MAC", "MACs"),
    # who you are
    _rule(
        r"Too many authentication failures",
        Authentication,
        "`{host}` ended the login: `ssh` offered too many keys",
        "name one key for it in `{config}`: `IdentityFile …` and `IdentitiesOnly yes`; `ssh-add -l` lists the keys "
        "that `ssh` offers",
    ),
    _rule(
        r"^Your account has expired|^.*account (?:is|has been) (?:locked|disabled)",
        HostLacks,
        "your account on `{host}` has expired or is locked",
        "ask its administrators",
    ),
    _rule(
        r"^System is (?:going down|booting up)|^.*[Uu]nprivileged users are not permitted to log in",
        Unreachable,
        "`{host}` is starting up or shutting down, and admits nobody",
        "try again in a few minutes",
    ),
    *SHELL,
    _rule(
        r"^Load key \"(?P<file>[^\"\n]+)\": bad permissions",
        Authentication,
        "`{host}` refused the login, and `ssh` ignored the key `{file}` because others can read it",
        "`chmod 600 {file}`",
        plain="make the key readable by you alone",
        needs=_DENIED,
    ),
    _rule(
        r"^Load key \"(?P<file>[^\"\n]+)\": (?P<why>error in libcrypto|invalid format|unknown or unsupported key type"
        r"|No such file or directory|Permission denied)",
        Authentication,
        "`{host}` refused the login, and `ssh` cannot read the key `{file}`: {why}",
        "`ssh-keygen -y -f {file}` shows whether the file is whole: often its last line end is missing, or it was "
        "saved with those of Windows",
        plain="is the file whole? often its last line end is missing, or it was saved with those of Windows",
        needs=_DENIED,
    ),
    _rule(
        r"^(?P<why>dlopen \S+ failed: .*|dlsym.* failed: .*|C_\w+ (?:for \S+ )?failed: .*|pkcs11_\w+: .*|no pkcs11 .*"
        r"|provider \S+ is not .*|no slots|cannot read public key from pkcs11)$",
        Authentication,
        "`{host}` refused the login, and `ssh` has no key of your token or card: {why}",
        "is it plugged in, and is `PKCS11Provider` for this host in `{config}` the right library? "
        "`ssh-keygen -D LIBRARY` lists its keys",
        needs=_DENIED,
    ),
    _rule(
        r"no mutual signature (?:algorithm|supported)",
        Authentication,
        "`{host}` and this `ssh` have no signature in common for your key",
        "make a newer key, `ssh-keygen -t ed25519`, and have it installed there; or allow the old one for this host in "
        "`{config}`: `PubkeyAcceptedAlgorithms +ssh-rsa`",
        needs=_DENIED,
    ),
    _rule(
        r"^\S+: Permission denied \(gssapi[^)\n,]*(?:,gssapi[^)\n,]*)*\)|No Kerberos credentials|Ticket expired"
        r"|Cannot (?:contact any KDC|find KDC)|Clock skew too great|Server not found in Kerberos database",
        Authentication,
        "`{host}` refused the login with Kerberos",
        "`klist` shows your tickets, `kinit` gets one; then run `{farlab connect HOST}` again",
        needs=_DENIED,
    ),
    _rule(
        r"^sign_and_send_pubkey: signing failed.*(?:device not found|requires? (?:PIN|user)|invalid format)",
        Authentication,
        "`{host}` refused the login: the security key did not sign",
        "is it plugged in? touch it when it blinks; `{ssh -v HOST}` shows which key `ssh` asks for",
    ),
    _rule(
        r"^sign_and_send_pubkey: signing failed.*agent refused",
        Authentication,
        "`{host}` refused the login: your ssh-agent did not sign",
        "unlock it, or `ssh-add` the key again; `ssh-add -l` lists what it holds",
    ),
    _rule(
        _KEY_OR_ANSWER,
        CannotAsk,
        "`{host}` accepted none of your unlocked keys, and nobody is at a terminal to enter a password or a code",
        "run `{farlab connect HOST}` in a terminal; or `ssh-add` the key first, if it has a passphrase",
        may_ask=False,
    ),
    _rule(
        _SECRETS,
        CannotAsk,
        "`{host}` asks for a password or a code, and nobody is at a terminal to enter it",
        "run `{farlab connect HOST}` in a terminal",
        may_ask=False,
    ),
    _rule(
        r"^no such identity: (?P<file>.+?): No such file",
        Authentication,
        "`{host}` accepted no key, and `{file}` does not exist",
        "correct `IdentityFile` for it in `{config}`; `ssh-add -l` lists the keys in your ssh-agent",
        needs=_DENIED,
    ),
    _rule(
        r"^\S+: Permission denied \([^)\n]*publickey",
        CannotAsk,
        "`{host}` accepted none of your unlocked keys, and nobody is at a terminal to enter a passphrase",
        "`ssh-add` the key first, or run `{farlab connect HOST}` in a terminal",
        may_ask=False,
    ),
    _rule(
        _SECRETS,
        Authentication,
        "`{host}` did not accept the password or code",
        "try `{farlab connect HOST}` again; `{ssh -v HOST}` shows which user name and methods `ssh` tries",
        needs=_WAS_ASKED,
    ),
    _rule(
        _SECRETS,
        Authentication,
        "`{host}` rejected every authentication method (key, password, code)",
        "if `ssh` did not ask you, `{config}` may set `BatchMode`, or the host does not know this user name: "
        "`{ssh -v HOST}` shows which user name and methods `ssh` tries",
    ),
    _rule(
        _DENIED,
        Authentication,
        "`{host}` accepted none of your keys",
        "`ssh-add -l` lists the keys in your ssh-agent, `{ssh -G HOST}` shows which user name and `IdentityFile` `ssh` "
        "tries, `{ssh-copy-id HOST}` puts a key there",
    ),
    # inside the connection
    _rule(
        r"^(?:PTY allocation|exec|shell) request failed on channel|^channel 0: open failed",
        HostLacks,
        "`{host}` let you in but refuses to run a command",
        "`{ssh HOST true}` shows the same; ask its administrators whether they allow commands (`MaxSessions`, "
        "`ForceCommand`)",
    ),
    _rule(
        r"^Received disconnect from \S+ port \d+:\d+: (?P<why>.+)$",
        Unreachable,
        "`{host}` ended the connection during the login: {why}",
        "a policy there may refuse your account; `{ssh -v HOST}` shows every step",
    ),
    _rule(
        r"^(?:Connection (?:closed|reset) by|Received disconnect from|Disconnected from|Connection to \S+ closed)",
        Unreachable,
        "`{host}` ended the connection during the login{told}",
        "a policy there may refuse your account; `{ssh -v HOST}` shows every step",
    ),
    _rule(
        r"^mux_client_\w+: .*(?:refused by peer|failed)|^muxclient: ",
        Unreachable,
        "your shared connection (`ControlMaster`) to `{host}` refuses another session (`MaxSessions`)",
        "end a session that uses it, or the connection itself with `{ssh -O exit HOST}`",
    ),
)
