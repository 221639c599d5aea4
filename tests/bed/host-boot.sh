#!/bin/bash
# Becomes PID 1 of one host, started in new uts, ipc, mount and pid namespaces and in the host's network namespace.
#
#   NAME     the host's name           DIR     its own directory: upper/ (its disk), boot_id, home (bind source)
#   GOLDEN   the layer all hosts share LAB     the host's Jupyter, mounted read-only at the same path
#   HIDDEN   directories of this machine that a remote host must not see
#   NFS_LIKE not empty: /home as over NFS      SYSTEMD not empty: boot a real systemd
set -e
mount --make-rprivate /
root=$DIR/root
rm -rf "$DIR/work"; mkdir -p "$DIR/upper" "$DIR/work" "$root"      # overlay wants a fresh work directory
mount -t overlay "bed-$NAME" -o "lowerdir=$GOLDEN:/,upperdir=$DIR/upper,workdir=$DIR/work" "$root"
for directory in $HIDDEN; do
    if [ -d "$root$directory" ]; then mount -t tmpfs -o mode=700 tmpfs "$root$directory"; fi
done
mount -t proc proc "$root/proc"
mount --bind "$DIR/boot_id" "$root/proc/sys/kernel/random/boot_id"
mount -t sysfs sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty fuse; do
    if [ -e /dev/$device ]; then : > "$root/dev/$device"; mount --bind /dev/$device "$root/dev/$device"; fi
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for i in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${i%:*} "$root/dev/${i#*:}"; done
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/sshd" "$root/run/lock" "$root/run/user" "$root/home"
install -d -m 700 -o 2021 -g 2021 "$root/run/user/2021"
mkdir -p "$root$LAB"
mount --bind "$LAB" "$root$LAB"
mount -o remount,bind,ro "$root$LAB"
if [ -n "$NFS_LIKE" ]; then     # other hosts' Unix sockets cannot be reached, attributes are 3 s old
    bindfs -o nonempty,allow_other,attr_timeout=3,entry_timeout=3,negative_timeout=3 "$DIR/home" "$root/home"
else
    mount --bind "$DIR/home" "$root/home"
fi
hostname "$NAME"
cd "$root"
mkdir -p .old
pivot_root . .old
if [ -n "$SYSTEMD" ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    umount -l /.old
    unset HOME
    container=bed exec chroot . /lib/systemd/systemd --unit=bed.target --log-target=console --show-status=no \
        </dev/null >>/var/log/boot.log 2>&1
fi
export -n NAME DIR GOLDEN LAB HIDDEN NFS_LIKE SYSTEMD
exec chroot . /bin/sh -c '
    cd /; umount -l /.old
    exec >>/var/log/boot.log 2>&1
    /usr/sbin/sshd -E /var/log/sshd.log </dev/null
    exec /usr/bin/python3 -I -S /usr/local/sbin/host-init'
