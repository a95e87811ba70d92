#!/bin/bash
# Can this loader reach the database's service? ping.sh DIR ADDRESS HOST PORT; exit code 1 if it cannot.
dir=$1 address=$2 host=$3 port=$4
echo "ping begin $address" >> "$dir/steps.log"
: < "/dev/tcp/$host/$port" || exit 1
echo "ping end $address" >> "$dir/steps.log"
