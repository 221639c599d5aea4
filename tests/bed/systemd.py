"""What a host needs in its layer to boot a real systemd: sshd, dbus and logind, and nothing else of this machine's.

logind has `KillUserProcesses=yes`: what a user runs ends with the last logout, unless it lingers.
"""

from __future__ import annotations

from pathlib import Path

_TARGET = """[Unit]
Description=a host of the test bed
Requires=basic.target bed-sshd.service
Wants=dbus.service systemd-logind.service systemd-user-sessions.service bed-booted.service
After=basic.target
AllowIsolate=yes
"""
_SSHD = """[Unit]
DefaultDependencies=no
After=basic.target systemd-logind.service dbus.service
[Service]
ExecStart=/usr/sbin/sshd -D -E /var/log/sshd.log
KillMode=process
"""
_BOOTED = """[Unit]
After=bed-sshd.service systemd-logind.service systemd-user-sessions.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'until busctl --quiet status org.freedesktop.login1 >/dev/null 2>&1; do sleep 0.05; done; \
touch /run/booted'
"""
_MASKED = """
systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service systemd-networkd.service
systemd-resolved.service systemd-timesyncd.service systemd-sysctl.service systemd-remount-fs.service
systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-journal-flush.service e2scrub_reap.service
dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount
sys-kernel-config.mount systemd-binfmt.service systemd-random-seed.service systemd-pstore.service swap.target
systemd-sysusers.service systemd-firstboot.service tmp.mount getty.target
"""
"""What basic.target would pull in and cannot work in a container, or would take time."""


def add(etc: Path) -> None:
    """Write units into the layer's `/etc`; what this machine has enabled stays out of the host."""
    units = etc / "systemd/system"
    units.mkdir(parents=True)
    for name, text in {"bed.target": _TARGET, "bed-sshd.service": _SSHD, "bed-booted.service": _BOOTED}.items():
        (units / name).write_text(text)
    for name in _MASKED.split():
        (units / name).symlink_to("/dev/null")
    for wants in Path("/etc/systemd/system").glob("*.wants"):
        for link in wants.iterdir():
            (units / wants.name).mkdir(exist_ok=True)
            (units / wants.name / link.name).symlink_to("/dev/null")
    (etc / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (etc / "fstab").write_text("")
    logind = etc / "systemd/logind.conf.d"
    logind.mkdir(parents=True)
    (logind / "bed.conf").write_text("[Login]\nKillUserProcesses=yes\n")
