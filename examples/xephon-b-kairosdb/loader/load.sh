#!/bin/sh
# One load by k6 or by Xephon-B, whose result is printed as one line of JSON in the units of the job's metrics.
set -eu
here=$(dirname "$0")
case $LOADER in
  k6) "$here/k6" run --quiet --no-usage-report "$here/k6.js" > "$here/printed" ;;
  xephon-b) "$here/xb" run --config "$here/xb.yml" > "$here/printed" ;;
  *) echo "loader is k6 or xephon-b, not $LOADER" >&2; exit 2 ;;
esac
exec python3 "$here/result.py" "$here/printed"
