#!/usr/bin/env bash
# Runs the conformance checkers of API v1, v2 and the metadata definitions against the service, once for each
# configuration that they can judge.
#
#   scripts/conformance.sh [NAME...]      only the configurations named (`--list` prints the names), or all of an API
#                                         that is named (v1, v2, md); everything without a name
#
# One line sums up each configuration, the last one all of them. Succeeds only if every assertion that ran held, but
# for the deviations listed below, and every configuration answered the assertions it is there for. A run of all
# configurations of v2 must moreover have answered every assertion that is not left out below.
#
# Environment: CONFORMANCE_DIR (the checkers; default ../shared/conformance), KEYSTONE_VENV (a virtual environment
# for scripts/keystone.sh; default .venv/keystone), VITRINE (a binary; default: the debug build), CHECKS_AT_ONCE
# (default 4; v2 only), KEEP_LOGS (a directory for the logs of a failed run).
set -euo pipefail
cd "$(dirname "$0")/.."

checkers=${CONFORMANCE_DIR:-../shared/conformance}
for checker in v1 v2 metadefs; do
  if [ ! -f "$checkers/$checker.py" ]; then
    echo "conformance.sh: there is no $checkers/$checker.py; set CONFORMANCE_DIR" >&2
    exit 2
  fi
done
. scripts/lib.sh

# Assertions that do not hold on purpose: ids are kept in canonical form however they are spelled.
declare -A deviations=([v1]=V1-229 [v2]=V2-062 [metadefs]='')

# Assertions that cannot be asked; each line has its reason.
left_out=()
leave_out() {
  left_out+=("${@:2}")
}
ids() {
  seq --format='V2-%03g' "$1" "$2"
}
leave_out 'there is no local cache' V2-007 $(ids 329 334) V2-347
leave_out 'signatures cannot be verified without a key manager' V2-225
leave_out 'takes an hour; the checker does not ask it, tests/ does' V2-266
leave_out 'staged data lie in S3, not on a worker that could be away' V2-280

passed=0 failed=0 failures=()

# serve NAME TOML [COMMAND...] : the service with that configuration at $url; its own PostgreSQL and, if none is
# named, S3, unless COMMAND is another one that takes `--config FILE`
serve() {
  local name=$1 port ops command=("${@:3}")
  [ ${#command[@]} -gt 0 ] || command=("$vitrine" dev --ephemeral)
  read -r port ops < <(free_ports 2)
  port=${api_port:-$port}
  url=http://127.0.0.1:$port
  printf '%s\n' "$2" "[server]" "bind = '127.0.0.1:$port'" "ops_bind = '127.0.0.1:$ops'" \
    "drain_timeout = '1s'" ${server_extra:+"$server_extra"} >"$work/$name.toml"
  start "$name.log" "${command[@]}" --config "$work/$name.toml"
  await "the service ($name)" 90 "${pids[-1]}" "$name.log" answers "http://127.0.0.1:$ops/${probe:-readyz}"
}

# count NAME SECONDS : adds up what conformance.py left in $work/NAME.sum
count() {
  local counts
  read -ra counts <"$work/$1.sum"
  printf '%-19s %4d passed, %d failed, %d skipped, %d known deviation(s)  (%d s)\n' "$1" "${counts[@]}" "$2"
  sed 1d "$work/$1.sum"
  [ $((counts[0] + counts[1])) -gt 0 ] || die "nothing was checked ($1)"
  passed=$((passed + counts[0]))
  failed=$((failed + counts[1]))
  [ "${counts[1]}" -eq 0 ] || failures+=("$1")
}

# judge NAME MUST ARGUMENT... : runs the checker of the API that NAME belongs to; MUST names assertions that may not
# be skipped
judge() {
  local name=$1 must=$2 api=v1 began=$SECONDS
  shift 2
  [[ $name != v2_* ]] || api=v2
  [[ $name != metadefs* ]] || api=metadefs
  python3 "$checkers/$api.py" "$url" --json "$work/$name.json" "$@" >"$work/$name.out" 2>&1 </dev/null || true
  if ! python3 scripts/conformance.py "$work/$name.json" "${deviations[$api]}" "$must" >"$work/$name.sum"; then
    tail -n 20 "$work/$name.out" >&2
    die "the checker did not finish ($name)"
  fi
  count "$name" $((SECONDS - began))
}

# judge_v2 NAME PATTERN MUST ARGUMENT... : likewise for v2, of the assertions whose number the regular expression
# PATTERN matches from its start (all with an empty one), without those that are left out
judge_v2() {
  local name=$1 pattern=$2 must=$3 out
  shift 3
  out=$(IFS='|' && echo "${left_out[*]#V2-}")
  judge "$name" "$must" -j "${CHECKS_AT_ONCE:-4}" -k "^V2-(?!$out)(?:$pattern)" "$@"
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
  seaweedfs
  serve seaweedfs "$(open_policy)
[stores.dev]
path_style = true"
  unset "${!AWS_@}"
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
  python3 "$checkers/v1.py" --print-protections >"$work/protections.conf"
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

# keystone : a Keystone whose catalogue leads to $api_port; the settings to use it are exported
keystone() {
  local port
  read -r port api_port < <(free_ports 2)
  start keystone.log scripts/keystone.sh "${KEYSTONE_VENV:-.venv/keystone}" "$port" \
    "http://127.0.0.1:$api_port" "$work/keystone.env"
  # a first time it fills the virtual environment
  await Keystone 300 "${pids[-1]}" keystone.log test -s "$work/keystone.env"
  set -a
  . "$work/keystone.env"
  set +a
}

forget_keystone() {
  rm "$work/keystone.env"
  unset api_port "${!VITRINE__IDENTITY__@}" "${!OS_@}" V1_CALLERS KEYSTONE_CAST
}

run_keystone() {
  keystone
  serve keystone "$remote_sources"
  judge keystone "V1-271" --auth keystone --config remote
  forget_keystone
}

# ---------------------------------------------------------------- API v2

# checker_serves : data that the checker itself serves may be imported ($facts, $import), and be taken for locations
checker_serves() {
  local source_port
  read -r source_port < <(free_ports 1)
  facts=(--with "source-port=$source_port,http-locations")
  import="[import]
methods = ['glance-direct', 'web-download', 'copy-image', 'glance-download']
allow_http_locations = true
allow_private_networks = true
allowed_ports = [$source_port]"
}

# what is answered wherever imports may come from the checker
imported="$(ids 244 246) $(ids 248 265) V2-267 V2-279 $(ids 282 288) V2-343"

run_v2_default() {
  serve v2_default ""
  judge_v2 v2_default "" "V2-040 $(ids 42 46) V2-054 V2-086 V2-097 V2-143 V2-178 V2-181 $(ids 198 209) $(ids 213 224)
    $(ids 226 238) $(ids 244 246) $(ids 248 261) V2-263 $(ids 267 269) $(ids 282 291) V2-294 $(ids 295 317) V2-320 V2-323 V2-328 V2-338 V2-340 V2-341 V2-343 V2-346" \
    --with no-proxy
}

run_v2_no_extension() {
  echo '{}' >"$work/extension.json"
  serve v2_no_extension "[images]
schema_extension_file = '$work/extension.json'"
  judge_v2 v2_no_extension '0[4-9]|1[4-7]' V2-041
}

run_v2_faulty_extension() {
  local began=$SECONDS outcome=ok
  # asked here, since the checker cannot start a service (V2-053)
  echo '{"name": {"type": "integer", "description": "not what a name is"}}' >"$work/faulty.json"
  if (
    trap stop_all EXIT
    serve v2_faulty "[images]
schema_extension_file = '$work/faulty.json'"
  ) >"$work/v2_faulty.out" 2>&1; then
    outcome=FAIL
  fi
  # it must have ended for this reason
  grep -qi extension "$work/v2_faulty.log" || outcome=FAIL
  printf '[{"id": "V2-053", "outcome": "%s", "reason": "the service takes a file that redefines name"}]\n' "$outcome" \
    >"$work/v2_faulty_extension.json"
  python3 scripts/conformance.py "$work/v2_faulty_extension.json" "" V2-053 >"$work/v2_faulty_extension.sum"
  count v2_faulty_extension $((SECONDS - began))
}

# the checker asks for the properties of which it tells in its docstring
run_v2_protections() {
  local pattern rights
  while read -r pattern rights; do
    printf '[%s]\n' "$pattern"
    printf 'create = %s\nread = %s\nupdate = %s\ndelete = %s\n' $rights
  done >"$work/v2_protections.conf" <<'CONF'
^pp_admin_ admin admin admin admin
^pp_ro_ admin,member admin,member,reader admin admin
^pp_blind_ admin,member admin admin,member admin
.* @ @ @ @
CONF
  serve v2_protections "[policy]
property_protection_file = '$work/v2_protections.conf'"
  judge_v2 v2_protections '0[5-9]|1[4-7]|33|35' "V2-336 V2-337 V2-352 V2-353" --with protections
}

run_v2_limits() {
  serve v2_limits "[limits]
image_size_cap = 250000
image_property_quota = 10
image_tag_quota = 10
image_member_quota = 10
limit_param_default = 12
api_limit_max = 60"
  judge_v2 v2_limits "" "V2-089 V2-090 V2-097 V2-101 V2-175 V2-177 V2-210 V2-296 V2-312" --slow \
    --with size-cap=250000,property-quota=10,tag-quota=10,member-quota=10,page=12,page-max=60
}

run_v2_storage_quota() {
  serve v2_storage_quota "[limits]
user_storage_quota = 5000"
  # the other assertions store more than that
  judge_v2 v2_storage_quota '211|351' "V2-211 V2-351" --with storage-quota=5000
}

run_v2_quotas() {
  serve v2_quotas "[limits]
image_count_total = 12
image_count_uploading = 3
image_stage_total = 5
image_size_total = 5"
  # the other assertions make more images than that
  judge_v2 v2_quotas '092|32[3-7]' "V2-092 $(ids 324 327)" --with ksq
}

run_v2_delayed_delete() {
  serve v2_delayed_delete "[images]
delayed_delete = true
scrub_time = '1h'"
  judge_v2 v2_delayed_delete '06|09[3-6]|103|118|24[0-3]' "V2-064 V2-093 V2-103 V2-240 V2-243"
}

run_v2_locations() {
  local facts import
  checker_serves
  serve v2_locations "[images]
show_multiple_locations = true
show_direct_url = true
[limits]
image_location_quota = 4
$import"
  judge_v2 v2_locations "" "$(ids 182 197) $imported V2-268 V2-269 $(ids 289 294) V2-350" "${facts[@]}" --with location-quota=4
}

run_v2_no_methods() {
  serve v2_no_methods "[import]
methods = []"
  judge_v2 v2_no_methods '24[4-9]|25[0-3]' "V2-247 V2-250"
}

run_v2_two_stores() {
  local facts import
  checker_serves
  # its database and first store are those of another process, which leaves the background work to this one
  backing two_stores
  serve v2_two_stores "default_store = 'dev'
$import" beside "$work/two_stores.env" "$vitrine" serve
  judge_v2 v2_two_stores "" "V2-009 V2-057 V2-212 V2-239 $imported $(ids 270 272) $(ids 275 278) $(ids 318 322)" \
    "${facts[@]}"
}

run_v2_bad_store() {
  backing bad_store
  # a third store, whose bucket is not there
  sed -n 's/^VITRINE__STORES__DEV__/VITRINE__STORES__BAD__/p' "$work/bad_store.env" >"$work/bad.env"
  printf '%s\n' VITRINE__STORES__BAD__BUCKET=absent VITRINE__STORES__BAD__CREATE_BUCKET=false >>"$work/bad.env"
  cat "$work/bad.env" >>"$work/bad_store.env"
  # for the same reason it is never ready
  probe=livez serve v2_bad_store "default_store = 'dev'" beside "$work/bad_store.env" "$vitrine" serve
  judge_v2 v2_bad_store '2[67]|32' "V2-270 V2-273 V2-274 V2-275 V2-322" --with bad-store=bad
}

run_v2_match_off() {
  serve v2_match_off "[images]
require_format_match = false"
  judge_v2 v2_match_off '19[89]|20|21|22' "$(ids 217 221)" --with match=off
}

run_v2_headers() {
  serve v2_headers "$headers
$trusted"
  judge_v2 v2_headers "" "V2-016 V2-017" --auth headers
}

run_v2_keystone() {
  local facts import
  keystone
  checker_serves
  printf %s "$KEYSTONE_CAST" >"$work/cast.json"
  serve v2_keystone "$import"
  judge_v2 v2_keystone "" "V2-016 V2-017 V2-054 V2-236 $imported V2-294 V2-335" "${facts[@]}" \
    --auth keystone --cast "$work/cast.json"
  forget_keystone
}

run_v2_v1_disabled() {
  server_extra="v1 = false" serve v2_v1_disabled ""
  judge_v2 v2_v1_disabled '0[01]' V2-003
}

run_v2_public_endpoint() {
  server_extra="public_endpoint = 'https://images.example:8443'" serve v2_public_endpoint ""
  judge_v2 v2_public_endpoint '0[01]|05|061|098|104' V2-011 --with public-endpoint=https://images.example:8443
}

run_v2_cors() {
  server_extra="cors_origins = ['https://panel.example']" serve v2_cors ""
  judge_v2 v2_cors '0[0-3]|339' V2-339 --with cors=https://panel.example
}

run_v2_proxy() {
  server_extra="trusted_proxies = ['127.0.0.0/8']" serve v2_proxy ""
  judge_v2 v2_proxy '0[01]|055|340' V2-340 --with proxy
}

run_v2_healthcheck() {
  : >"$work/disabled"
  server_extra="disable_by_file_path = '$work/disabled'" serve v2_healthcheck ""
  judge_v2 v2_healthcheck 338 V2-338 --with down-file
}

run_v2_seaweedfs() {
  local facts import
  seaweedfs
  checker_serves
  serve v2_seaweedfs "[stores.dev]
path_style = true
$import"
  unset "${!AWS_@}"
  judge_v2 v2_seaweedfs '19[89]|2[0-8]|34[39]' "V2-198 V2-202 V2-209 V2-213 V2-214 V2-226 V2-231 V2-240
    $imported" "${facts[@]}"
}

run_v2_inject() {
  local facts import
  checker_serves
  serve v2_inject "$import
plugins = ['inject_image_metadata']
inject = { pipeline = 'imported' }"
  judge_v2 v2_inject '26|28' "V2-260 V2-262 V2-281" "${facts[@]}" --with inject=pipeline:imported
}

# ---------------------------------------------------------------- metadata definitions

# md_ids FROM TO
md_ids() {
  seq --format='MD-%03g' "$1" "$2"
}

# what `vitrine dev` starts with is taken out: an empty catalogue. The loader has its own tests, for the checker cannot ask
# for MD-099 to MD-101
run_metadefs() {
  backing metadefs
  (beside "$work/metadefs.env" "$vitrine" metadefs unload) >"$work/unload.log" 2>&1 || die "nothing was unloaded"
  serve metadefs "$(open_policy)" beside "$work/metadefs.env" "$vitrine" serve
  judge metadefs "$(md_ids 2 98) $(md_ids 103 109)" -j "${CHECKS_AT_ONCE:-4}" \
    --with "policy-file=$work/policy.json" --with policy-wait=2
}

run_metadefs_seeded() {
  serve metadefs_seeded "$(open_policy)"
  judge metadefs_seeded "$(md_ids 2 98) $(md_ids 102 109)" -j "${CHECKS_AT_ONCE:-4}" \
    --with "policy-file=$work/policy.json" --with policy-wait=2
}

run_metadefs_headers() {
  serve metadefs_headers "$headers
$trusted"
  judge metadefs_headers "$(md_ids 1 86) $(md_ids 93 98) $(md_ids 103 109)" -j "${CHECKS_AT_ONCE:-4}" --auth headers
}

# ----------------------------------------------------------------

# no_auth is there for the asking: without a token, mode `none` makes the caller an administrator of project
# `default`, while the checker expects one without a project (V1-079, V1-080)
v1=(default limits storage_quota delayed_delete protections headers anonymous v1_disabled public_endpoint
  keystone seaweedfs)
v2=(default no_extension faulty_extension protections limits storage_quota quotas delayed_delete locations no_methods
  two_stores bad_store match_off headers keystone v1_disabled public_endpoint cors proxy healthcheck seaweedfs inject)
v2=("${v2[@]/#/v2_}")
md=(metadefs metadefs_seeded metadefs_headers)

names=()
[ $# -gt 0 ] || set -- v1 v2 md
for name in "$@"; do
  case $name in
    --list)
      printf '%s\n' "${v1[@]}" "${v2[@]}" "${md[@]}"
      exit
      ;;
    v1) names+=("${v1[@]}") ;;
    v2) names+=("${v2[@]}") ;;
    md) names+=("${md[@]}") ;;
    *)
      declare -F "run_$name" >/dev/null || die "no configuration $name; --list names them"
      names+=("$name")
      ;;
  esac
done

# settings of whoever calls this must not reach the service
unset DATABASE_URL VITRINE_CONFIG "${!VITRINE__@}" "${!AWS_@}" "${!OS_@}"
build
for name in "${names[@]}"; do
  "run_$name"
  stop_all
done
# nothing may be missed just because each configuration leaves it to another one
if [[ " ${names[*]} " == *" ${v2[*]} "* ]]; then
  reports=("${v2[@]/#/$work/}")
  reports=("${reports[@]/%/.json}")
  python3 scripts/conformance.py --answered "$checkers/v2.py" "${left_out[*]}" "${reports[@]}" \
    >"$work/answered.sum"
  read -ra counts <"$work/answered.sum"
  printf '%d assertions of v2 were answered, %d left out, %d missed\n' "${counts[0]}" "${counts[2]}" "${counts[1]}"
  sed 1d "$work/answered.sum"
  failed=$((failed + counts[1]))
  [ "${counts[1]}" -eq 0 ] || failures+=("v2 as a whole")
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] || die "not conformant: ${failures[*]}"
