"""The layer that all hosts of a bed share: accounts, homes, sshd, PAM, Jupyter on PATH.

An overlay over this machine's `/`: what is not written here is as on this machine. Nothing outside `layer` and
`homes` is touched.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import systemd as systemd_units
from .users import LAB_BIN, ONE_TIME_SECRET, USERS, User

HERE = Path(__file__).parent
SMALL_JUPYTER, SMALL_VERSION = "/usr/local/lib/small-jupyter", "4.99.0"
# crypt(3) of users.PASSWORD, few rounds because logins in tests should not take long
_PASSWORD_HASH = (
    "$6$rounds=1000$farlabbed$Bv3Fy0CgnnjUmRGl9hswm8aQ38vN8kDlUtIuxTI5glJGJTOB0R/3TxMQV9Md/SwlRHV6k24FFDzVwvqFixsEf1"
)
_SSHD = """Port 22
Port 2222
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/keys/%u .ssh/authorized_keys
UsePAM yes
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication yes
PubkeyAuthentication yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
LogLevel VERBOSE
# room for tests that connect many times a second
MaxStartups 100:30:200
Match User bob
    Banner /etc/issue.net
Match User otto,hal
    AuthenticationMethods keyboard-interactive
Match User pia
    PasswordAuthentication yes
    AuthenticationMethods password
Match User max
    MaxSessions 1
    DisableForwarding yes
Match User rita
    SetEnv XDG_RUNTIME_DIR=/run/user/2021
"""
_PAM = """auth substack common-auth
auth [success=1 default=ignore] pam_succeed_if.so quiet user notingroup codes
auth required pam_oath.so usersfile=/etc/users.oath window=10 digits=6
auth required pam_permit.so
account required pam_nologin.so
@include common-account
session optional pam_loginuid.so
@include common-session
@SYSTEMD@session required pam_limits.so
session required pam_env.so
@include common-password
"""
_CODES_GROUP = 2900


def make(layer: Path, homes: Path, *, lab: Path, hosts: str, keys: dict[str, str], systemd: bool = False) -> None:
    """Write the layer. `keys`: public key by user, "" for everybody else who logs in by key."""
    etc = layer / "etc"
    etc.mkdir(parents=True)
    _accounts(etc)
    _ssh(etc, keys)
    _write(etc / "hosts", hosts)
    _write(etc / "issue.net", "Authorized users only.  All activity is logged.\n")
    _write(etc / "pam.d/sshd", _PAM.replace("@SYSTEMD@", "session optional pam_systemd.so\n" if systemd else ""))
    _write(
        etc / "users.oath",
        f"HOTP/T30/6 otto - {ONE_TIME_SECRET}\nHOTP/E/6 hal - {ONE_TIME_SECRET}\n",
        mode=0o600,
    )
    _write(layer / "usr/local/sbin/host-init", (HERE / "host_init.py").read_text())
    if systemd:
        systemd_units.add(etc)
    _jupyter_on_path(layer / "usr/local/bin", lab)
    _small_jupyter(Path(f"{layer}{SMALL_JUPYTER}"), lab)
    for user in USERS.values():
        make_home(homes, user, lab)


def make_home(homes: Path, user: User, lab: Path) -> None:
    """The user's home as it is on the first day; what was there goes."""
    home = homes / Path(user.home_path).relative_to("/home")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    home.chmod(0o700)
    if user.shell.endswith("bash") and not user.rc:
        for skeleton in (".bashrc", ".profile", ".bash_logout"):
            if (source := Path("/etc/skel") / skeleton).exists():
                shutil.copyfile(source, home / skeleton)
    for name, text in user.rc.items():
        _write(home / name, text.replace(LAB_BIN, f"{lab}/bin"))
    for directory, directories, files in os.walk(home):
        for entry in (".", *directories, *files):
            os.chown(os.path.join(directory, entry), user.uid, user.uid)


def _accounts(etc: Path) -> None:
    """The machine's system accounts, then ours: passwd(5), shadow(5), group(5)."""
    users = USERS.values()
    passwd = [f"{p.name}:x:{p.uid}:{p.uid}:{p.what}:{p.home_path}:{p.shell}" for p in users]
    shadow = [f"{p.name}:{_PASSWORD_HASH}:19000:0:99999:7:::" for p in users]
    group = [f"{p.name}:x:{p.uid}:" for p in users] + [f"codes:x:{_CODES_GROUP}:otto,hal"]
    system = system_lines("passwd")
    locked = [f"{line.split(':')[0]}:*:19000:0:99999:7:::" for line in system]
    _write(etc / "passwd", "\n".join([*system, *passwd]) + "\n")
    _write(etc / "shadow", "\n".join([*locked, *shadow]) + "\n", mode=0o600)
    _write(etc / "group", "\n".join([*system_lines("group"), *group]) + "\n")


def system_lines(name: str) -> list[str]:
    """The lines of this machine's `passwd` or `group` that belong to the system, not to users."""
    lines = Path("/etc", name).read_text().splitlines()
    return [line for line in lines if line.count(":") >= 3 and not 1000 <= int(line.split(":")[2]) < 60000]


def _ssh(etc: Path, keys: dict[str, str]) -> None:
    bare = ",".join(user.name for user in USERS.values() if user.bare_path)
    _write(etc / "ssh/sshd_config", _SSHD + f"Match User {bare}\n    SetEnv PATH=/usr/bin:/bin\n")
    for user in USERS.values():
        if user.name not in ("otto", "hal", "pia"):
            _write(etc / "ssh/keys" / user.name, keys.get(user.name, keys[""]))


def _jupyter_on_path(directory: Path, lab: Path) -> None:
    directory.mkdir(parents=True)
    for program in sorted((lab / "bin").glob("jupyter*")):
        (directory / program.name).symlink_to(program)


def _small_jupyter(directory: Path, lab: Path) -> None:
    """A virtual environment whose JupyterLab is `small_jupyter/`; no host has it on PATH by itself."""
    python = next((lab / "lib").glob("python3*")).name
    packages = directory / "lib" / python / "site-packages"
    for package, module in (("jupyter_server", "serverapp.py"), ("jupyterlab", "labapp.py")):
        _write(packages / package / "__init__.py", "")
        _write(packages / package / module, (HERE / "small_jupyter" / module).read_text())
        (packages / f"{package}-{SMALL_VERSION}.dist-info").mkdir()
    _write(directory / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    _write(directory / "bin/jupyter-lab", f"#!{SMALL_JUPYTER}/bin/python\n", mode=0o755)
    (directory / "bin/python").symlink_to("/usr/bin/python3")


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
