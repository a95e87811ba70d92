#!/bin/sh
# The first program of a node that is a container: starts the node's own container engine when it is to have one, and
# then sshd, so that a node which answers is a node which is ready.
# usage: node.sh plain | node.sh engine [ARGUMENT OF DOCKERD]...
set -eu
here=/benchhub
log=/var/log/dockerd.log

own_cgroups() {
  # An engine makes groups below its own; a container sees them read-only unless it is privileged.
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mount -o remount,bind,rw /sys/fs/cgroup
    # cgroup 2 lets no process lie in a group that hands controllers down
    mkdir -p /sys/fs/cgroup/node
    while read -r pid; do echo "$pid" > /sys/fs/cgroup/node/cgroup.procs 2>/dev/null || :; done < /sys/fs/cgroup/cgroup.procs
    for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
      echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || :
    done
  else
    for group in /sys/fs/cgroup/*; do mount -o remount,bind,rw "$group" 2>/dev/null || :; done
  fi
}

engine() {
  command -v dockerd > /dev/null || { echo "the image has no dockerd: use an image that has, or engine=no" >&2; exit 1; }
  own_cgroups
  (dockerd "$@" > "$log" 2>&1 || echo "dockerd ended with $?" >> "$log") &
  tries=0
  until docker info > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 600 ] || grep -q '^dockerd ended' "$log"; then
      echo "the node's container engine does not start:" >&2
      tail -n 8 "$log" >&2
      exit 1
    fi
    sleep 0.1
  done
}

mode=$1
shift
[ "$mode" = plain ] || engine "$@"
sshd=$(command -v sshd || echo /usr/sbin/sshd)
[ -x "$sshd" ] || { echo "the image has no sshd: install openssh-server in it" >&2; exit 1; }
mkdir -p /run/sshd
exec "$sshd" -D -e -h "$here/host_key" -o AuthorizedKeysFile="$here/authorized_keys" -o PermitRootLogin=prohibit-password \
  -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no -o UsePAM=no -o UseDNS=no \
  -o MaxStartups=500:30:1000 -o MaxSessions=100
