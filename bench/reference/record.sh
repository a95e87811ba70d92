#!/bin/bash
# The first thing it does is to note when it began: record.sh FILE
echo "$EPOCHREALTIME" >> "$1"
