#!/bin/sh
# Sees to it that the Debian packages of packages.txt are there: installs what is missing as root, else says what to install.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v dpkg-query >/dev/null || exit 0 # no Debian: a test that misses something says so itself

missing=
for package in $(sed 's/#.*//' "$here/packages.txt"); do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "the tests need more Debian packages: sudo apt-get install --no-install-recommends$missing" >&2
  exit 1
fi
echo "installing what the tests need:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq
# shellcheck disable=SC2086 # a list of names
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $missing >/dev/null
