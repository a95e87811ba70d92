#!/bin/sh
# One run-and-finish step of the reference job: step.sh DIR NAME ADDRESS
# Takes a known time (so the job's critical path is known) and next to no CPU (so what a contender costs can be seen).
# Every step leaves two lines in DIR/steps.log; the order of the lines is the order in which things happened.
dir=$1 name=$2 address=$3
case $name in
  load) seconds=1 ;;
  *) seconds=0.1 ;;
esac
echo "$name begin $address" >> "$dir/steps.log"
: > "$dir/nodes/$address/$name"
sleep "$seconds"
echo "$name end $address" >> "$dir/steps.log"
