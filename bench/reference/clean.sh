#!/bin/sh
# Removes what the steps left on this node: clean.sh DIR ADDRESS
dir=$1 address=$2
echo "clean begin $address" >> "$dir/steps.log"
rm -f "$dir/nodes/$address/"*
echo "clean end $address" >> "$dir/steps.log"
