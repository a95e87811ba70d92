#!/bin/bash
# What the jobs of this folder need on the machine that starts them: a container engine, the images, k6, a registry.
#
#   setup.sh          installs what is missing, builds what is not there yet, starts the registry; again and again if you like
#   setup.sh stop     ends the registry, and the engine if this script started it
#   setup.sh clean    stop, and removes the images and the cache
#
# BENCHHUB_CACHE   where downloads and builds are kept; default: .cache of the checkout
# BASE_IMAGE       an image of Debian 12 to build upon, e.g. debian:bookworm-slim of a hub; default: one made by debootstrap
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${BENCHHUB_CACHE:-$(cd "$here/../.." && pwd)/.cache}/xephon-b-kairosdb
registry=benchhub-xephon-registry
address=198.18.42.1       # of the registry, for nodes; nobody's network has addresses of this range (RFC 2544)
subnet=198.18.42.0/24
port=15000
base=${BASE_IMAGE:-benchhub/base:bookworm}
java=benchhub/java:17
k6_version=v1.8.1
go_version=go1.26.0       # a module of Go's own, fetched where the Go that is there is older
images=(base:bookworm java:17 cassandra:5.0 kairosdb-jars:1.2.0-1 k6:1.8.1)

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }
die() { echo "setup.sh: $*" >&2; exit 1; }

# Runs a command with its output in a log of the cache; says every 20 s that it still runs, and shows the end of the log when it fails.
step() {   # WHAT COMMAND...
  local what=$1 log; shift
  log="$cache/log/${what//[^a-zA-Z0-9]/-}.log"
  say "$what"
  "$@" > "$log" 2>&1 < /dev/null &
  local pid=$! began=$SECONDS
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if (( SECONDS - began >= 20 )); then say "  still at it: $what"; began=$SECONDS; fi
  done
  wait "$pid" || { tail -n 20 "$log" >&2; die "$what failed; all of its output is in $log"; }
}

install_packages() {   # COMMAND PACKAGE...: the Debian packages unless the command is there
  local command=$1; shift
  command -v "$command" > /dev/null && return
  command -v apt-get > /dev/null || die "$command is missing, and there is no apt-get to install $* with: install it and start again"
  [ "$(id -u)" -eq 0 ] || die "$command is missing: sudo apt-get install $*"
  step "update the package lists" apt-get -o DPkg::Lock::Timeout=600 update
  step "install $*" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@"
}

start_engine() {
  install_packages docker docker.io iptables
  docker info > /dev/null 2>&1 && return
  [ "$(id -u)" -eq 0 ] || die "no container engine answers: start it (sudo systemctl start docker), or join its group (sudo usermod -aG docker $(id -un))"
  if [ -d /run/systemd/system ]; then
    step "start the engine" systemctl start docker
  else
    say "start the engine"
    setsid nohup dockerd > "$cache/log/dockerd.log" 2>&1 < /dev/null &
    echo $! > "$cache/dockerd.pid"
  fi
  for _ in $(seq 300); do docker info > /dev/null 2>&1 && return; sleep 0.2; done
  tail -n 20 "$cache/log/dockerd.log" >&2 || true
  die "the engine did not answer within 60 s"
}

have_image() { docker image inspect "$1" > /dev/null 2>&1; }

make_base() {
  if [ -n "${BASE_IMAGE:-}" ]; then
    have_image "$base" || step "pull $base" docker pull "$base"
    docker tag "$base" benchhub/base:bookworm
    return
  fi
  have_image "$base" && return
  [ "$(id -u)" -eq 0 ] || die "debootstrap needs root: sudo $0, or BASE_IMAGE=debian:bookworm-slim $0 where a hub is in reach"
  install_packages debootstrap debootstrap
  step "make $base by debootstrap" bash -c '
    set -euo pipefail
    root=$(mktemp -d /var/tmp/benchhub-base.XXXXXX)   # debootstrap takes no path with a space, as that of a checkout may be
    trap "rm -rf $root" EXIT
    chmod 755 "$root"   # it becomes the root of every image
    mirror=$(apt-get indextargets --format "\$(REPO_URI)" "Created-By: Packages" | head -n 1)
    debootstrap --variant=minbase bookworm "$root" ${mirror:+"$mirror"}
    rm -rf "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/lib/apt/lists/*_* "$root"/var/cache/apt/archives/*.deb
    tar -C "$root" -c . | docker import -c "CMD [\"bash\"]" - "$1"' - "$base"
}

build() {   # NAME:TAG ARG...: builds images/NAME with what the cache holds for it
  local image=$1 name=${1%%:*}; shift
  local context="$cache/context/$name"
  mkdir -p "$context"
  cp -R "$here/images/$name/." "$context/"
  step "build benchhub/$image" docker build -t "benchhub/$image" "${@/#/--build-arg=}" "$context"
}

# Fetches the Maven artifacts of images/NAME; they have to be those of its list.
fetch_artifacts() {   # NAME
  local lib="$cache/context/$1/lib"
  mkdir -p "$lib"
  python3 "$here/images/artifacts.py" "$here/images/$1/artifacts.txt" "$lib" 2>/dev/null && return
  mvn -q -B -f "$here/images/$1/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$lib"
  python3 "$here/images/artifacts.py" "$here/images/$1/artifacts.txt" "$lib"
}

artifacts() { step "fetch the artifacts of $1" fetch_artifacts "$1"; }

# Prints a go that is new enough: the one on the PATH, or the toolchain module that even an old one can fetch and check.
find_go() {
  local machine toolchain=$cache/gomod/golang.org/toolchain@v0.0.1-$go_version.linux-
  case $(uname -m) in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; *) echo "no Go for $(uname -m)" >&2; return 1 ;; esac
  if [ "$(printf '%s\n' "$go_version" "$(go env GOVERSION)" | sort -V | head -n 1)" = "$go_version" ]; then
    command -v go
    return
  fi
  toolchain+=$machine
  env -u GOFLAGS GOTOOLCHAIN=local GOMODCACHE="$cache/gomod" go mod download "golang.org/toolchain@${toolchain##*@}" >&2
  # modules are unpacked without the right to run
  chmod -R u+w "$toolchain" && chmod u+x "$toolchain"/bin/* "$toolchain"/pkg/tool/*/*
  echo "$toolchain/bin/go"
}

build_k6() {
  local go; go=$(find_go) || return
  mkdir -p "$cache/context/k6"
  # Optimised is what a load runs through: Go's library, k6, its JavaScript. The rest, such as its exporters, compiles faster without.
  local bare=-dwarf=false
  GOFLAGS=-modcacherw GOBIN="$cache/bin" GOPATH="$cache/go" GOCACHE="$cache/go-build" GOTOOLCHAIN=local CGO_ENABLED=0 \
    "$go" install -trimpath -ldflags='-s -w' "-gcflags=all=-N -l $bare" "-gcflags=std=$bare" "-gcflags=go.k6.io/k6/...=$bare" \
    "-gcflags=github.com/grafana/sobek/...=$bare" "go.k6.io/k6@$k6_version"
  rm -rf "$cache/go" "$cache/go-build"   # a gigabyte that nobody needs again
  mv "$cache/bin/k6" "$cache/context/k6/k6.part"
  mv "$cache/context/k6/k6.part" "$cache/context/k6/k6"
  echo "$k6_version" > "$cache/k6.version"
}

get_k6() {
  [ "$(cat "$cache/k6.version" 2>/dev/null)" = "$k6_version" ] && [ -x "$cache/context/k6/k6" ] && return
  step "build k6 $k6_version from its Go module (some minutes)" build_k6
}

# Ends with a message when another interface has addresses of the registry's network: it would get the registry's packets.
check_addresses() {
  local own other id mend
  own=$(docker network inspect --format 'br-{{slice .Id 0 12}}' "$registry" 2> /dev/null) || true
  other=$(ip -o -4 addr show to "$subnet" | awk -v own="$own" '$2 != own { print $2; exit }')
  [ -n "$other" ] || return 0
  id=${other#br-}
  if docker network inspect "$id" > /dev/null 2>&1; then mend="docker network rm $id"; else mend="sudo ip link delete $other"; fi
  die "the interface $other has addresses of $subnet, which the registry needs (see: ip addr show $other).
  If nobody needs it (an engine that was killed leaves such bridges): $mend
  Then start $0 again."
}

# Waits until the registry answers at an address; ends with what is known when it does not.
await_registry() {   # ADDRESS
  local why until=$((SECONDS + 30))
  until why=$(python3 - "http://$1:$port/v2/" 2>&1 << 'EOF'
import sys, urllib.request
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=2)  # no proxy comes here
except OSError as error:
    sys.exit(str(error))
EOF
  ); do
    [ "$(docker container inspect --format '{{.State.Running}}' "$registry" 2>&1)" = true ] || {
      docker logs --tail 20 "$registry" >&2
      die "the registry has ended; its last lines are above, all of them: docker logs $registry"
    }
    (( SECONDS < until )) || die "the registry runs, and does not answer at $1:$port after 30 s: $why
  The engine has to run on this machine itself, not in a virtual machine, and a firewall has to let $subnet through.
  What is in the way: ip route get $1, ip addr show to $subnet, docker logs $registry
  To begin afresh: $0 stop, then $0 again."
    sleep 0.2
  done
}

# The registry listens on this machine's loopback, and on the gateway of a network of its own, for nodes that are containers.
start_registry() {
  local id
  docker network inspect "$registry" > /dev/null 2>&1 ||
    step "make the network of the registry, $subnet" docker network create --subnet "$subnet" --gateway "$address" \
      --label "benchhub.registry=$address:$port" "$registry"   # by the label the scheduler docker lets nodes use it
  id=$(docker image inspect --format '{{.Id}}' benchhub/registry:1)
  if [ "$(docker container inspect --format '{{.Image}} {{.State.Running}}' "$registry" 2>/dev/null)" != "$id true" ]; then
    docker rm -f "$registry" > /dev/null 2>&1 || true
    step "start the registry" docker run -d --name "$registry" --network "$registry" -v "$registry:/var/lib/registry" \
      -p "127.0.0.1:$port:5000" -p "$address:$port:5000" benchhub/registry:1
  fi
  await_registry "$address"
  await_registry 127.0.0.1
  for image in "${images[@]}"; do
    docker tag "benchhub/$image" "127.0.0.1:$port/$image"
    step "push $image" docker push "127.0.0.1:$port/$image"
  done
  say "ready: the registry is at $address:$port for nodes, at 127.0.0.1:$port for this machine itself"
}

up() {
  install_packages python3 python3
  install_packages mvn maven
  install_packages go golang-go
  install_packages ip iproute2
  start_engine
  check_addresses
  make_base
  get_k6
  build java:17 "base=$base"
  artifacts cassandra
  artifacts kairosdb-jars
  build cassandra:5.0 "java=$java"
  build kairosdb-jars:1.2.0-1
  build k6:1.8.1 "base=$base"
  build registry:1 "base=$base"
  start_registry
}

end_registry() {
  if docker info > /dev/null 2>&1; then
    docker rm -f "$registry" > /dev/null 2>&1 || true
    docker network rm "$registry" > /dev/null 2>&1 || true
  fi
}

end_engine() {
  if [ -f "$cache/dockerd.pid" ]; then
    local pid; pid=$(cat "$cache/dockerd.pid")
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
      say "stop the engine that setup.sh started"
      kill "$pid"
      for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
    fi
    rm -f "$cache/dockerd.pid"
  fi
}

remove_images() {
  docker info > /dev/null 2>&1 || return 0
  docker volume rm "$registry" > /dev/null 2>&1 || true
  for image in "${images[@]}" registry:1; do docker rmi "benchhub/$image" "127.0.0.1:$port/$image" > /dev/null 2>&1 || true; done
}

mkdir -p "$cache/log" "$cache/bin"
exec 9> "$cache/lock"
flock -n 9 || { say "another setup.sh is at work; waiting for it"; flock 9; }
case ${1:-up} in
  up) up ;;
  stop) end_registry; end_engine ;;
  clean) end_registry; remove_images; end_engine; rm -rf "$cache" ;;
  *) die "usage: setup.sh [stop|clean]" ;;
esac
