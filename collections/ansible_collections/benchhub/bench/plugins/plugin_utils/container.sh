# Containers of a run on a node, through the command line of docker or podman. sh reads it from its standard input:
#
#   sh -s -- VERB ENGINE RUN SLOT UNIT [OPTION VALUE]... [-- ARGUMENT...]
#
#   run      makes a container, starts it and stays until it ends; its exit code is the container's
#            --volume SPEC --network NAME: made, with the run's label, when there is none of that name; what the
#            engine itself is told stands behind --
#   stop     asks the containers of the unit to end, and ends them after --grace SECONDS; with arguments, the engine's
#   end      prints what the containers of the unit were, as a JSON list, and removes them
#   exec     a command in a container that runs already
#   end-exec ends what an exec of this unit left running in --container NAME
#   pull, build: the engine's
#   sweep    removes the containers of the slot, networks and volumes of the run; prints what is left
#
# ENGINE is docker, podman or auto. Every container carries the labels benchhub.run, benchhub.slot and benchhub.unit:
# they, and nothing else, say what may be removed. Exit code 125: the engine refused; 127: there is no engine.
set -u

say() { printf 'benchhub: %s\n' "$*" >&2; }

choose_engine() {
  [ "$engine" = auto ] || return 0
  for engine in docker podman; do
    command -v "$engine" >/dev/null 2>&1 && return 0
  done
  return 1
}

no_engine() {
  case $verb in end | end-exec | sweep | stop) exit 0 ;; esac # nothing can have been started
  if [ "$wanted" = podman ]; then
    say "podman is not on this node: install it (Debian: apt-get install podman)"
  elif [ "$wanted" = docker ]; then
    say "docker is not on this node: install it (Debian: apt-get install docker.io), or say engine: podman"
  else
    say "there is neither docker nor podman on this node: install one (Debian: apt-get install docker.io)"
  fi
  exit 127
}

e() { "$engine" "$@" </dev/null; }

inspect() { e inspect --type container --format "$1" "$2" 2>/dev/null; }

of_unit() {
  e ps --all --quiet --no-trunc --filter "label=benchhub.run=$run" --filter "label=benchhub.slot=$slot" \
    --filter "label=benchhub.unit=$unit"
}

# -- what went wrong ----------------------------------------------------------------------------------------------------

last_words() { # what the engine said last; the error output is a file, of which only the end is looked at
  [ ! -f /dev/stderr ] || tail -n 4 /dev/stderr
}

explain() { # the known troubles in plain words, with the next step; the engine's own words stand above
  said=$(last_words)
  case $verb in
  exec | build) engine_speaks "$(printf '%s\n' "$said" | tail -n 1)" || return 0 ;; # else a command in a container did
  esac
  case $said in
  *'ermission denied'*'.sock'* | *'.sock'*'ermission denied'*)
    say "the user $(id -un) may not use $engine: add it to the group docker, or run the task with become: true" ;;
  *'annot connect to the Docker daemon'* | *'rror during connect'* | *'annot connect to Podman'* | \
    *'failed to connect to the docker API'*)
    say "the engine does not answer: start it (systemctl start docker)$(other_engine)" ;;
  *'container name "'*'already in use'*) explain_name ;;
  *'address already in use'* | *'port is already allocated'*) explain_port ;;
  *'o command specified'* | *'o command or entrypoint'*) say "the image names no command of its own: give it one" ;;
  *'executable file not found'* | *'no such file or directory'*exec* | *exec*'no such file or directory'* | \
    *'command that was not found'* | *'command not found'*)
    say "the image does not hold the command that is to be run in it: look at command, or leave it out" ;;
  *'denied: requested access'* | *'ull access denied'* | *'nauthorized'*)
    say "the image does not exist or is not public: look at its name, or log in on the node ($engine login)" ;;
  *'anifest unknown'* | *'ot found: manifest'* | *'o such image'* | *'ame unknown'* | *'manifest for '*'not found'*)
    say "there is no image of that name and tag: look at its name, or build it in a stage before" ;;
  *'did not resolve to an alias'*)
    say "the image is not on the node: podman pulls only full names (REGISTRY/NAME), or build it before" ;;
  *registry* | *'nable to find image'* | *'initializing source'* | *'/v2/'*)
    say "the image is not on the node and cannot be pulled: can the node reach the registry? Or build it before" ;;
  *'o such container'*) say "there is no container of that name on this node: look at its name; it may have ended" ;;
  esac
}

other_engine() { [ "$engine" = podman ] || ! command -v podman >/dev/null 2>&1 || printf '; or say engine: podman'; }

engine_speaks() {
  case $1 in
  'Error response from daemon'* | 'Error: '* | 'OCI runtime '* | *'annot connect to '* | 'error during connect'*) ;;
  'permission denied while'* | 'failed to connect to the docker API'* | 'ERROR: '*) ;;
  *) false ;;
  esac
}

explain_name() {
  name=$(printf '%s\n' "$said" | sed -n 's/.*container name "\/\{0,1\}\([^"]*\)".*/\1/p' | tail -n 1)
  owner=$(inspect '{{index .Config.Labels "benchhub.run"}}|{{index .Config.Labels "benchhub.unit"}}' "$name")
  image=$(inspect '{{.Config.Image}}, {{.State.Status}}' "$name")
  case $owner in
  "$run|"*) say "the name $name is taken by ${owner#*|} of this run: give each its own, e.g. $name-\${node.name}" ;;
  '|' | '') say "the name $name is taken by a container that is not benchhub's ($image): remove it" \
    "($engine rm --force $name), or choose another name" ;;
  *) say "the name $name is taken by a container of the run ${owner%%|*}: when that run is over, remove what it left" \
    "with: benchhub recover ${owner%%|*}" ;;
  esac
}

explain_port() {
  port=$(printf '%s\n' "$said" | sed -n 's/.*:\([0-9]\{1,5\}\)[: ].*\(already in use\|already allocated\).*/\1/p')
  holder=
  [ -z "$port" ] || holder=$(e ps --filter "publish=$port" --format '{{.Names}}' 2>/dev/null | head -n 1)
  if [ -n "$holder" ]; then
    say "the port $port of this node is taken by the container $holder: end that, or publish another port"
  else
    say "the port ${port:-it publishes} of this node is taken: end what listens there, or publish another port"
  fi
}

# -- run ----------------------------------------------------------------------------------------------------------------

labelled() { # KIND ARGUMENT...: makes a container, network or volume that says whose it is
  kind=$1
  shift
  case $kind in container) kind= ;; esac
  e ${kind:+"$kind"} create --label "benchhub.run=$run" --label "benchhub.slot=$slot" --label "benchhub.unit=$unit" "$@"
}

make_volume() { # a volume with a name is made for this run when it is not there; a path has to be there
  source=${1%%:*}
  [ "$source" != "$1" ] || return 0
  case $source in
  /*)
    case ${DOCKER_HOST:-unix:} in unix:*) [ -e "$source" ] || missing_path "$source" ;; esac ;;
  .* | '~'*) ;;
  *) made=$(e volume inspect "$source" 2>/dev/null) || made=$(labelled volume "$source") || refuse ;;
  esac
}

missing_path() {
  say "there is no $1 on this node to mount: make it in a step before (the engine would leave a folder of root's there)"
  exit 125
}

make_network() {
  case $1 in
  host | none | bridge | default | private | slirp4netns* | pasta* | container:* | ns:*) return 0 ;;
  esac
  made=$(e network inspect "$1" 2>/dev/null) || made=$(labelled network "$1") ||
    made=$(e network inspect "$1" 2>/dev/null) || refuse # another slot on this machine may have been faster
}

refuse() {
  explain
  exit 125
}

# Those that fail once more, one by one: podman first has to learn that a container is over whose conmon was killed, and
# removes none of several when one of them has gone.
remove() {
  e rm --force --volumes "$@" >/dev/null 2>&1 && return
  still=0
  for one; do e rm --force --volumes "$one" >/dev/null || still=1; done
  return $still
}

run_container() {
  if ! id=$(labelled container "$@"); then
    left=$(of_unit 2>/dev/null) # of a supervisor of this very unit that was killed and started again
    [ -n "$left" ] || refuse
    { remove $left || gone_anyway; } && id=$(labelled container "$@") || refuse
  fi
  id=$(printf '%s\n' "$id" | tail -n 1)
  e start --attach "$id"
  code=$?
  IFS='|' read -r state oom ended limit <<END
$(inspect '{{.State.Status}}|{{.State.OOMKilled}}|{{.State.ExitCode}}|{{.HostConfig.Memory}}' "$id")
END
  case ${state:-gone} in
  created | configured | initialized) refuse ;;
  running | paused)
    say "the command line of $engine was ended while its container ran"
    exit 125 ;;
  gone)
    say "the container is not there any more: somebody removed it, or the engine has ended"
    [ "$code" -ne 0 ] || code=125 ;;
  *)
    code=$ended
    if [ "$oom" = true ]; then
      say "the kernel killed it for want of memory (OOM)$(memory_limit)"
    elif [ "$code" -eq 137 ] && [ "$limit" -gt 0 ]; then
      say "it was killed (signal 9): by the kernel for want of memory, perhaps$(memory_limit)"
    fi ;;
  esac
  exit "$code"
}

memory_limit() { [ "$limit" -eq 0 ] || printf '; its limit is %s MiB' "$((limit / 1048576))"; }

# -- ending -------------------------------------------------------------------------------------------------------------

stop_containers() {
  ids=$(of_unit) && [ -z "$ids" ] || e stop -t "$grace" $ids >/dev/null || refuse
}

describe() {
  image=$(inspect '{{.Image}}' "$1")
  digests=$(e image inspect --format '{{json .RepoDigests}}' "$image" 2>/dev/null) || digests='[]'
  state='"state": {{json .State.Status}}, "exit": {{json .State.ExitCode}}, "oom": {{json .State.OOMKilled}}'
  about='"id": {{json .ID}}, "name": {{json .Name}}, "image": {{json .Config.Image}}, "image_id": {{json .Image}}'
  inspect "{\"engine\": \"${engine##*/}\", \"digests\": ${digests:-[]}, $about, $state}" "$1"
}

end_containers() {
  ids=$(of_unit) || refuse
  mark='['
  for id in $ids; do
    found=$(describe "$id") && printf '%s%s' "$mark" "$found" && mark=', '
  done
  [ "$mark" = '[' ] && echo '[]' || echo ']'
  [ -z "$ids" ] || remove $ids || gone_anyway || refuse
}

gone_anyway() { left=$(of_unit) && [ -z "$left" ]; } # two may remove at once

end_exec() { # its command line can be killed; the command in the container lives on
  look='for p in /proc/[0-9]*; do grep -q "$1" "$p/environ" 2>/dev/null && kill -9 "${p#/proc/}"; done; true'
  e exec --user 0 "$container" /bin/sh -c "$look" sh "BENCHHUB_UNIT=$run/$slot/$unit" >/dev/null 2>&1
}

ours() { # KIND [FILTER]...: the names of what container tasks of this run made
  of=$1 form='{{.Name}}'
  shift
  case $of in container) form='{{.Names}}' && set -- --all "$@" ;; esac
  e "$of" ls "$@" --filter "label=benchhub.run=$run" --filter label=benchhub.unit --format "$form"
}

sweep() {
  names=$(ours container --filter "label=benchhub.slot=$slot") || return 0
  [ -z "$names" ] || remove $names 2>/dev/null
  ours container --filter "label=benchhub.slot=$slot" | sed 's/^/container /'
  for kind in network volume; do
    for name in $(ours $kind); do e $kind rm "$name" >/dev/null 2>&1; done
    # one that another slot of this machine still uses is removed with that slot
    [ -n "$(ours container)" ] || ours $kind | sed "s/^/$kind /"
  done
}

# -- the call -----------------------------------------------------------------------------------------------------------

main() {
  verb=$1 engine=$2 wanted=$2 run=$3 slot=$4 unit=$5
  shift 5
  choose_engine && command -v "$engine" >/dev/null 2>&1 || no_engine
  grace=10 container=
  while [ $# -gt 0 ]; do
    case $1 in
    --volume) make_volume "$2" ;;
    --network) make_network "$2" ;;
    --grace) grace=$2 ;;
    --container) container=$2 ;;
    --) break ;;
    esac
    shift 2
  done
  [ $# -eq 0 ] || shift
  case $verb in
  run) run_container "$@" ;;
  stop) if [ $# -gt 0 ]; then e stop "$@" || failed $?; else stop_containers; fi ;;
  end) end_containers ;;
  exec) e exec --env "BENCHHUB_UNIT=$run/$slot/$unit" "$@" || failed $? ;;
  end-exec) end_exec ;;
  pull | build) e "$verb" "$@" || failed $? ;;
  sweep) sweep ;;
  esac
}

failed() {
  explain
  exit "$1"
}

main "$@"
exit
