#!/bin/sh
# Runs the steps and services of a benchhub job on a node: for playbooks that use Ansible's own modules alone.
# It lies in <run dir>/.benchhub; output and status of every step lie below it in units/<unit>/.
#
#   node.sh run   --unit U --step NN --of N --name JSON --timeout S --grace S [--retries N --delay S] [--when TEXT]
#                 [--chdir DIR] [--at EPOCH] [--container ENGINE] -- PROGRAM ARG...
#   node.sh serve --unit U --grace S [--when TEXT] [--chdir DIR] [--container ENGINE] -- PROGRAM ARG...
#   node.sh alive --unit U
#   node.sh stop  --unit U --grace S [--container ENGINE] [--timeout S -- PROGRAM ARG...]
#   node.sh collect --limit BYTES -- PATTERN...
#   node.sh pack  --grace S --limit BYTES
set -u
umask 022
here=$(cd "$(dirname "$0")" && pwd) || exit 70
run_dir=${here%/.benchhub}
slot=${run_dir##*/}
run=${run_dir%/*}
run=${run##*/benchhub-}
verb=$1
shift
unit= step= of=1 name= timeout=0 grace=10 retries=0 delay=1 when= chdir= at= container= limit=67108864
while [ $# -gt 0 ]; do
  case $1 in
  --) shift && break ;;
  --unit) unit=$2 ;;
  --step) step=$2 ;;
  --of) of=$2 ;;
  --name) name=$2 ;;
  --timeout) timeout=$2 ;;
  --grace) grace=$2 ;;
  --retries) retries=$2 ;;
  --delay) delay=$2 ;;
  --when) when=$2 ;;
  --chdir) chdir=$2 ;;
  --at) at=$2 ;;
  --container) container=$2 ;; # what is run is a container of this engine
  --limit) limit=$2 ;;
  *) echo "node.sh: what is $1?" >&2 && exit 70 ;;
  esac
  shift 2
done
marker="$run/$slot/$unit"
folder="$here/units/$unit"

now() {
  instant=$(date +%s.%N)
  case $instant in *[!0-9.]*) date +%s ;; *) echo "$instant" ;; esac
}

minus() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.6f", a - b }'; }

end_container() { # FILE: removes what is left of the unit's container, and keeps in FILE what it was
  [ -n "$container" ] || return 0
  # without the mark: what ends the unit must not end this
  (unset BENCHHUB_UNIT && exec /bin/sh "$here/container.sh" end "$container" "$run" "$slot" "$unit") >"$1.$$" || return
  case $(cat "$1.$$") in '[]' | '') rm -f "$1.$$" ;; *) mv "$1.$$" "$1" ;; esac
}

containers_of() { # FILE: the member that a status has of it
  [ ! -s "$1" ] || { printf ', "containers": ' && cat "$1"; }
}

make_folder() { # steps of one unit may run as different users
  mode=$(ls -ld "$here/units" | cut -c 9)
  [ -d "$folder" ] || if [ "$mode" = w ]; then mkdir -m 1777 "$folder"; else mkdir "$folder"; fi
}

enter() {
  cd "$run_dir" || return
  [ -z "$chdir" ] || cd -- "$chdir"
}

holds() { [ -z "$when" ] || /bin/sh -c "$when" </dev/null >/dev/null 2>&1; }

bounded() { # SECONDS PROGRAM ARG...: ends it with TERM, then KILL
  seconds=$1
  shift
  if command -v timeout >/dev/null; then timeout -k "$grace" "$seconds" "$@"; else "$@"; fi
}

record_step() { # STATE RC START END ATTEMPTS
  printf '{"index": %d, "name": %s, "state": "%s", "rc": %s, "signal": null, "start": %s, "end": %s, "attempts": %d,' \
    "${step#0}" "$name" "$1" "$2" "$3" "$4" "$5" >"$folder/$step.json"
  {
    printf ' "stdout": "%s.out", "stderr": "%s.err"' "$step" "$step"
    containers_of "$folder/$step.containers"
    printf '}'
  } >>"$folder/$step.json"
}

wait_until_instant() {
  rest=$(minus "$at" "$(now)")
  case $rest in -*) ;; *) sleep "$rest" ;; esac
  started=$(now)
  printf '{"target": %s, "started": %s, "late": %s}' "$at" "$started" "$(minus "$started" "$at")" >"$folder/together"
}

run_step() {
  make_folder || exit 70
  [ -e "$folder/of" ] || echo "$of" >"$folder/of"
  enter || { start=$(now) && record_step failed null "$start" "$start" 0 && exit 72; }
  if ! holds; then
    record_step skipped null null null 0
    exit 0
  fi
  [ -z "$at" ] || wait_until_instant
  BENCHHUB_UNIT=$marker
  export BENCHHUB_UNIT
  attempts=0
  first=$(now)
  while :; do
    attempts=$((attempts + 1))
    start=$(now)
    bounded "$timeout" "$@" </dev/null >>"$folder/$step.out" 2>>"$folder/$step.err"
    rc=$?
    end=$(now)
    end_container "$folder/$step.containers" || [ "$rc" -ne 0 ] || rc=125
    if [ "$rc" -eq 0 ]; then
      record_step ok 0 "$start" "$end" "$attempts"
      exit 0
    fi
    [ "$attempts" -le "$retries" ] || break
    sleep "$delay"
  done
  case $rc:$(minus "$(minus "$end" "$start")" "$timeout") in
  124:-* | 137:-*) state=failed ;;
  124:* | 137:*) state=timeout ;;
  *) state=failed ;;
  esac
  code=$rc
  [ $state = failed ] || code=null
  record_step $state "$code" "$start" "$end" "$attempts"
  tail -n 20 "$folder/$step.out"
  tail -n 20 "$folder/$step.err" >&2
  exit "$rc"
}

serve() {
  make_folder || exit 70
  enter || exit 72
  holds || exit 0
  BENCHHUB_UNIT=$marker
  export BENCHHUB_UNIT
  now >"$folder/start"
  if command -v setsid >/dev/null; then
    setsid "$@" </dev/null >"$folder/01.out" 2>"$folder/01.err" &
  else
    "$@" </dev/null >"$folder/01.out" 2>"$folder/01.err" &
  fi
  echo $! >"$folder/pid"
  wait $!
  rc=$?
  end_container "$folder/containers"
  echo $rc >"$folder/rc"
  now >"$folder/end"
}

is_over() { [ -e "$folder/rc" ] || ! kill -0 "$(cat "$folder/pid")" 2>/dev/null; }

alive() {
  tries=50
  while [ ! -e "$folder/pid" ] && [ $tries -gt 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
  done
  [ -e "$folder/pid" ] && ! is_over && exit 0
  echo "the service $unit has ended with exit code $(cat "$folder/rc" 2>/dev/null)" >&2
  tail -n 20 "$folder/01.out" "$folder/01.err" >&2
  exit 1
}

marked() { # the processes of the unit, or with no unit of the whole slot
  pattern="^BENCHHUB_UNIT=$marker\(/.*\)\{0,1\}\$"
  if printf 'a\0b' | grep -qz '^b$' 2>/dev/null; then
    grep -lz "$pattern" /proc/[0-9]*/environ 2>/dev/null
  else # a grep that knows no NUL: one process at a time
    for environ in /proc/[0-9]*/environ; do
      tr '\0' '\n' 2>/dev/null <"$environ" | grep -q "$pattern" && echo "$environ"
    done
  fi | cut -d / -f 3
}

signal_all() { # SIGNAL: to the process group of the service and to every process that carries its mark
  [ ! -e "$folder/pid" ] || kill -"$1" -- "-$(cat "$folder/pid")" 2>/dev/null
  for process in $(marked); do kill -"$1" "$process" 2>/dev/null; done
}

end_all() {
  signal_all TERM
  latest=$(awk -v now="$(now)" -v grace="$grace" 'BEGIN { printf "%.3f", now + grace }')
  while [ -n "$(marked)" ]; do
    case $(minus "$latest" "$(now)") in -*) break ;; esac
    sleep 0.1
  done
  signal_all KILL
}

await_end() { # a service that was asked to end has its grace time for it
  latest=$(awk -v now="$(now)" -v grace="$grace" 'BEGIN { printf "%.3f", now + grace }')
  until [ -e "$folder/rc" ]; do
    case $(minus "$latest" "$(now)") in -*) break ;; esac
    sleep 0.1
  done
}

stop() {
  [ -e "$folder/start" ] && [ ! -e "$folder/told" ] || exit 0
  if is_over; then
    end_all
    echo "the service $unit had ended before it was told to" >&2
    exit 1
  fi
  now >"$folder/told"
  if [ $# -gt 0 ]; then
    enter && bounded "$timeout" "$@" </dev/null >"$folder/shutdown.out" 2>&1 && await_end
  fi
  end_all
  [ -e "$folder/end" ] || now >"$folder/end"
  end_container "$folder/containers"
}

service_status() {
  code=$(cat "$1/rc" 2>/dev/null || echo null) number=null
  [ "$code" = null ] || [ "$code" -le 128 ] || [ -e "$1/containers" ] || { number=$((code - 128)) && code=null; }
  if [ -e "$1/told" ]; then
    state=stopped told=true error=null
  else
    state=failed told=false error='"it ended before it was told to"'
  fi
  printf '{"unit": "%s", "kind": "service", "state": "%s", "error": %s, "start": %s, "end": %s, "told": %s,' \
    "${1##*/}" $state "$error" "$(cat "$1/start")" "$(cat "$1/end" 2>/dev/null || echo null)" $told
  printf ' "pid": %s, "exit": %s, "signal": %s' "$(cat "$1/pid" 2>/dev/null || echo null)" "$code" "$number"
  containers_of "$1/containers"
  printf '}'
}

steps_status() {
  state=ok error=null
  grep -q -e '"state": "failed"' -e '"state": "timeout"' "$1"/[0-9]*.json && state=failed error='"a step failed"'
  start=$(sed -n 's/.*"start": \([0-9.]*\).*/\1/p' "$1"/[0-9]*.json | head -n 1)
  end=$(sed -n 's/.*"end": \([0-9.]*\).*/\1/p' "$1"/[0-9]*.json | tail -n 1)
  printf '{"unit": "%s", "kind": "steps", "state": "%s", "error": %s, "start": %s, "end": %s, "told": false, "steps": [' \
    "${1##*/}" $state "$error" "${start:-null}" "${end:-null}"
  index=1
  while [ "$index" -le "$(cat "$1/of")" ]; do
    number=$(printf '%02d' "$index")
    [ "$index" -eq 1 ] || printf ', '
    cat "$1/$number.json" 2>/dev/null ||
      printf '{"index": %d, "name": null, "state": "not-run", "rc": null, "attempts": 0}' "$index"
    index=$((index + 1))
  done
  printf ']'
  [ ! -e "$1/together" ] || { printf ', "together": ' && cat "$1/together"; }
  printf '}'
}

masked() { # copies its input; secrets in BENCHHUB_MASK_*, and their lines of 4 letters or more, become ***
  if ! env | grep -q '^BENCHHUB_MASK_'; then
    cat
    return
  fi
  awk 'BEGIN {
      for (name in ENVIRON) if (name ~ /^BENCHHUB_MASK_/) {
        lines = split(ENVIRON[name], parts, "\n")
        for (i = 1; i <= lines; i++) {
          gsub(/^[ \t\r]+|[ \t\r]+$/, "", parts[i])
          if (lines == 1 || length(parts[i]) >= 4) secrets[++count] = lines == 1 ? ENVIRON[name] : parts[i]
        }
      }
      for (i = 1; i <= count; i++) for (j = i + 1; j <= count; j++) # the longest first: one may hold another
        if (length(secrets[j]) > length(secrets[i])) { swap = secrets[i]; secrets[i] = secrets[j]; secrets[j] = swap }
    }
    { for (i = 1; i <= count; i++) if (secrets[i] != "") {
        kept = ""; rest = $0
        while (place = index(rest, secrets[i])) {
          kept = kept substr(rest, 1, place - 1) "***"; rest = substr(rest, place + length(secrets[i]))
        }
        $0 = kept rest
      }
      print }'
}

collect() {
  mkdir -p -m 700 "$here/pack/files" || exit 70
  cd "$run_dir" || exit 72
  IFS=
  for pattern in "$@"; do
    for file in $pattern; do
      [ -f "$file" ] || continue
      case $file in /*) ;; *) file=$run_dir/$file ;; esac
      mkdir -p "$here/pack/files${file%/*}" && masked <"$file" | head -c "$limit" >"$here/pack/files$file"
    done
  done
}

pack() {
  unit=
  marker="$run/$slot"
  end_all
  out="$here/pack"
  mkdir -p -m 700 "$out/files" "$out/units" || exit 70
  for folder in "$here"/units/*/; do
    folder=${folder%/}
    [ -d "$folder" ] || continue
    target="$out/units/${folder##*/}"
    mkdir -p "$target"
    if [ -e "$folder/start" ]; then service_status "$folder"; else steps_status "$folder"; fi >"$target/status.json"
    for file in "$folder"/*.out "$folder"/*.err; do
      [ ! -f "$file" ] || masked <"$file" | head -c "$limit" >"$target/${file##*/}"
    done
  done
  tar -C "$out" -czf "$here/pack.tar.gz" units files && rm -rf "$out"
}

case $verb in
run) run_step "$@" ;;
serve) serve "$@" ;;
alive) alive ;;
stop) stop "$@" ;;
collect) collect "$@" ;;
pack) pack ;;
*) echo "node.sh: what is $verb?" >&2 && exit 70 ;;
esac
