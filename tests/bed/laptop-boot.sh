#!/bin/sh
# Becomes the process that holds one laptop's mount namespace until its bed has gone (standard input is the lifeline).
#
#   DIR      the laptop's directory: etc/ (its passwd, group, hosts, resolv.conf), tmp/
#   CLOSED   directories of this machine that an ordinary user may not enter; in these, or in /tmp,
#   NEEDED   lies what the laptop must read: Python, farlab
set -e
mount --make-rprivate /
# not bound one by one: a bound file vanishes when somebody replaces the original (useradd does)
mount -t overlay -o "ro,lowerdir=$DIR/etc:/etc" overlay /etc
number=0
for path in $NEEDED; do
    number=$((number + 1))
    mkdir -p "$DIR/needed/$number"
    mount --bind "$path" "$DIR/needed/$number"
done
for path in $CLOSED; do mount -t tmpfs -o mode=755 tmpfs "$path"; done
mount --bind "$DIR/tmp" /tmp
number=0
for path in $NEEDED; do
    number=$((number + 1))
    mkdir -p "$path"
    mount --bind "$DIR/needed/$number" "$path"
done
: > "$DIR/ready"
exec cat >/dev/null
