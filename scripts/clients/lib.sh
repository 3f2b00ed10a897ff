# Shared by the sessions of the stock clients: two replicas behind one address, who is who, and what is counted.
# To be sourced after scripts/lib.sh.
# shellcheck shell=bash

checks=0

# is WHAT GOT EXPECTED
is() {
  [ "$2" = "$3" ] || die "$1: got '$2', expected '$3'"
  checks=$((checks + 1))
  printf 'ok   %s\n' "$1"
}

# matches WHAT FILE WORDS : whether a line of the file matches the words, whatever their case
matches() {
  grep -qiE -- "$3" "$2" || cat "$2" >&2
  is "$1: $3" "$(grep -ciE -m1 -- "$3" "$2" || true)" 1
}

sum() {
  "${1}sum" <"$2" | cut -d' ' -f1
}

size() {
  stat -c %s "$1"
}

# on_terminal COMMAND... : with a terminal of its own as standard input, which the clients would else take for image
# data; what it prints goes to standard output
on_terminal() {
  local line
  printf -v line '%q ' "$@"
  SHELL=/bin/bash script --quiet --return --command "$line" /dev/null </dev/null 2>&1 | tr -d '\r'
}

# row KEY : the second cell of the row of $work/said that starts with KEY
row() {
  awk -F'|' -v key="$1" '{ gsub(/^ +| +$/, "", $2); gsub(/^ +| +$/, "", $3) } $2 == key { print $3; exit }' "$work/said"
}

# cells ID : the row of $work/said that holds ID, its blanks removed
cells() {
  grep -F "| $1 " "$work/said" | tr -d ' ' || true
}

# await_replica NAME OPS_PORT LOG
await_replica() {
  await "$1" 90 "${pids[-1]}" "$3" answers "http://127.0.0.1:$2/readyz"
}

# common_address PORT_A PORT_B : $front leads to both replicas in turn
common_address() {
  a=http://127.0.0.1:$1 b=http://127.0.0.1:$2
  start front.log python3 scripts/clients/front.py "$port_front" "$work/taken" "$1" "$2"
  await 'the common address' 20 "${pids[-1]}" front.log answers "$front/healthcheck"
}

# both_were_asked : neither replica has been idle
both_were_asked() {
  local at_a at_b
  read -r at_a at_b <"$work/taken"
  is 'both replicas were asked' "$((at_a > 0 && at_b > 0))" 1
}

# something to store: more than one part of a multipart upload, in a format that says what it is where that can be
# made, and a source of remote images
something_to_store() {
  head -c 24M /dev/urandom >"$work/disk.raw"
  format=raw
  cp "$work/disk.raw" "$work/disk"
  if command -v qemu-img >/dev/null; then
    format=qcow2
    qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$work/disk"
  fi
  printf 'a small disk\n' >"$work/small"
  mkdir -p "$work/source"
  head -c 20M /dev/urandom >"$work/source/remote.raw"
  start source.log python3 -m http.server --bind 127.0.0.1 --directory "$work/source" "$port_source"
  await 'the source of copies' 20 "${pids[-1]}" source.log answers "http://127.0.0.1:$port_source/"
}

# ---------------------------------------------------------------- callers that Keystone knows

# the people of scripts/keystone.sh and the projects they work in
declare -A project_of=([owner]=alpha [reader]=alpha [other]=beta [third]=gamma [admin]=admin)

# as WHO COMMAND... : with the credentials of that person, and none of the files the clients keep at home
as() (
  export HOME="$work/home" XDG_CACHE_HOME="$work/home" XDG_CONFIG_HOME="$work/home" OS_USERNAME="$1" \
    OS_PROJECT_NAME="${project_of[$1]}"
  "${@:2}"
)

# deploy_for_v2 : a Keystone and two replicas with two stores each
deploy_for_v2() {
  local port ops_a ops_b port_keystone name
  local -a ports
  read -ra ports < <(free_ports 7)
  read -r port_front port_source port_keystone <<<"${ports[*]:0:3}"
  front=http://127.0.0.1:$port_front
  start keystone.log scripts/keystone.sh "${KEYSTONE_VENV:-.venv/keystone}" "$port_keystone" "$front" "$work/keystone.env"
  backing stores
  # a first time it fills the virtual environment
  await Keystone 300 "${pids[-2]}" keystone.log test -s "$work/keystone.env"
  cat "$work/stores.env" "$work/keystone.env" >"$work/replica.env"
  for name in a b; do
    port=${ports[3]} ops=${ports[4]}
    [ "$name" = a ] || port=${ports[5]} ops=${ports[6]}
    printf '%s\n' "default_store = 'dev'" '[server]' "bind = '127.0.0.1:$port'" "ops_bind = '127.0.0.1:$ops'" \
      "drain_timeout = '1s'" '[images]' 'show_multiple_locations = true' '[import]' 'allow_http_locations = true' \
      'allow_private_networks = true' 'allowed_ports = []' \
      "methods = ['glance-direct', 'web-download', 'copy-image', 'glance-download']" >"$work/$name.toml"
    start "$name.log" beside "$work/replica.env" "$vitrine" serve --config "$work/$name.toml"
    await_replica "replica $name" "$ops" "$name.log"
  done
  common_address "${ports[3]}" "${ports[5]}"
  set -a
  . "$work/keystone.env"
  set +a
  mkdir -p "$work/home"
  something_to_store
  alpha=$(project_id owner) beta=$(project_id other)
}

# project_id WHO
project_id() {
  as "$1" .venv/clients/bin/openstack token issue -f value -c project_id
}

# token WHO
token() {
  as "$1" .venv/clients/bin/openstack token issue -f value -c id
}

# seen PATH EXPRESSION : of what $administrator, a token, reads there, as `d`; the status where that is no success
seen() {
  local status
  status=$(curl --noproxy '*' --silent --output "$work/seen" --write-out '%{http_code}' --max-time 20 \
    --header "X-Auth-Token: $administrator" "$front$1")
  [ "$status" = 200 ] || { printf '%s\n' "$status"; return 0; }
  python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/seen" "$2"
}

# no namespace of metadata definitions is left, but those that came with the database
no_namespace_is_left() {
  is 'no namespace is left' "$(seen '/v2/metadefs/namespaces?limit=1000' \
    '[n["namespace"] for n in d["namespaces"] if n["namespace"].startswith("Session::")]')" '[]'
}

# the bucket has what the ledger says, and no image is left
nothing_is_left() {
  (beside "$work/replica.env" "$vitrine" scrub --config "$work/a.toml") >"$work/scrub" 2>"$work/scrub.log" || {
    cat "$work/scrub" >&2
    die 'the buckets and the ledger differ'
  }
  is 'buckets and ledger agree' "$(python3 -c 'import json, sys; print(len(json.load(sys.stdin)))' <"$work/scrub")" "$1"
}
