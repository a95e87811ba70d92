#!/bin/sh
# Makes a node image from Debian packages, with no hub: debootstrap, then the packages of a node, then `docker import`.
# Runs in namespaces of its own (unshare --mount --pid), on a tmpfs: whatever ends it, nothing of it is left.
# usage: image.sh MOUNTPOINT TAG SUITE MIRROR PACKAGE...         lines that begin with "== " tell how far it is
set -eu
at=$1 tag=$2 suite=$3 mirror=$4
shift 4
root=$at/root
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

mount -t tmpfs -o size=3g,mode=0700 tmpfs "$at"
echo "== base system of Debian $suite from ${mirror:-the mirror that debootstrap knows}"
debootstrap --variant=minbase --force-check-gpg "$suite" "$root" ${mirror:+"$mirror"}

echo "== packages: $*"
mount -t proc proc "$root/proc"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d" # no daemon starts in here
chmod 755 "$root/usr/sbin/policy-rc.d"
cat /etc/resolv.conf > "$root/etc/resolv.conf"
chroot "$root" apt-get -q update
chroot "$root" apt-get -q install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "$@"
umount "$root/proc"
rm -f "$root"/etc/ssh/ssh_host_* "$root/usr/sbin/policy-rc.d"
for folder in doc man locale info; do rm -rf "$root/usr/share/$folder"; mkdir "$root/usr/share/$folder"; done
rm -rf "$root"/var/lib/apt/lists/*_* "$root"/var/cache/apt/*

echo "== import as $tag"
tar -C "$root" -cf "$at/image.tar" . # a whole file first: an import cut short is then an error, never half an image
docker import --change 'CMD ["bash"]' --change 'ENV container=docker' "$at/image.tar" "$tag"
