# Shared by the scripts that run the service for real: where to build it, how to start, await and stop processes.
# To be sourced from the root of the repository; `work` is a directory that goes at the end.
# shellcheck shell=bash

work=$(mktemp -d)
pids=()

# Stops what was started here, the latest first, each by its process id, and throws the directory away.
stop_all() {
  local i
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill "${pids[i]}" 2>/dev/null || true
    wait "${pids[i]}" 2>/dev/null || true
  done
  pids=()
}

finish() {
  local status=$?
  trap - EXIT
  stop_all
  [ "$status" -eq 0 ] || [ -z "${KEEP_LOGS:-}" ] || { cp -r "$work" "$KEEP_LOGS" && echo "logs: $KEEP_LOGS" >&2; }
  rm -rf -- "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The debug build has the artefacts of the tests, so that nothing is compiled twice; VITRINE names another binary.
build() {
  vitrine=${VITRINE:-}
  [ -z "$vitrine" ] || return 0
  cargo build --locked
  vitrine=$(cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/debug/vitrine
}

# start LOG COMMAND... : in the background, its output in $work/LOG
start() {
  local log=$work/$1
  shift
  "$@" >"$log" 2>&1 </dev/null &
  pids+=($!)
}

# await WHAT SECONDS PID LOG COMMAND... : until COMMAND succeeds; fails once PID is gone
await() {
  local what=$1 end=$((SECONDS + $2)) pid=$3 log=$work/$4
  shift 4
  until "$@" >/dev/null 2>&1; do
    if ! kill -0 "$pid" 2>/dev/null || [ "$SECONDS" -ge "$end" ]; then
      tail -n 40 "$log" >&2
      die "$what did not come up"
    fi
    sleep 0.1
  done
}

# Whether a URL answers with success, past any proxy of the environment.
answers() {
  curl --noproxy '*' --silent --fail --output /dev/null --max-time 5 "$1"
}

# free_ports N : ports of loopback that were free a moment ago, below the range that clients are given
free_ports() {
  python3 - "$1" <<'PY'
import random, socket, sys

held = []
while len(held) < int(sys.argv[1]):
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", random.randrange(12000, 30000)))
    except OSError:
        continue
    held.append(candidate)
print(*[s.getsockname()[1] for s in held])
PY
}

# venv NAME PROGRAM REQUIREMENT... : .venv/NAME with the requirements, unless PROGRAM is there already
venv() {
  local dir=.venv/$1 program=$2
  shift 2
  [ -x "$dir/bin/$program" ] || { python3 -m venv "$dir" && "$dir/bin/pip" install --quiet "$@"; }
}
