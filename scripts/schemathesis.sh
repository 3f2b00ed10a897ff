#!/usr/bin/env bash
# Sends generated requests, fitting and unfitting ones, to every operation that the service's own OpenAPI document
# names, and holds the answers against that document: as an administrator and as a member.
#
#   scripts/schemathesis.sh [ADDRESS]      a service that runs already, in identity mode `none`; else one is started
#
# Fails on any finding, when fewer than CASES requests were made, and when a half takes longer than SECONDS_EACH.
# Each half prints its seed; SEED=… repeats it. Not every choice depends on the seed alone: what the service holds by
# then counts too.
#
# Environment: VITRINE (a binary; default: the debug build), SEED (default 1, so that a change alone decides; a day's
# number finds what the last day did not), CASES (default 5000), SECONDS_EACH (default 900), KEEP_LOGS (a directory for
# reports and logs of a failed run).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

seed=${SEED:-1} cases=${CASES:-5000} seconds=${SECONDS_EACH:-900}
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance

unset DATABASE_URL VITRINE_CONFIG "${!VITRINE__@}" "${!AWS_@}" "${!OS_@}"
export no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
pinned schemathesis schemathesis
export SCHEMATHESIS_HOOKS=$PWD/scripts/schemathesis_hooks.py

if [ $# -gt 0 ]; then
  url=${1%/}
else
  build
  read -r port ops < <(free_ports 2)
  url=http://127.0.0.1:$port
  # lists must not grow with what was made before, or the last cases take far longer than the first
  printf '%s\n' '[server]' "bind = '127.0.0.1:$port'" "ops_bind = '127.0.0.1:$ops'" "drain_timeout = '1s'" \
    '[limits]' 'api_limit_max = 50' 'image_size_cap = 1000000' >"$work/service.toml"
  start service.log "$vitrine" dev --ephemeral --config "$work/service.toml"
  await 'the service' 90 "${pids[-1]}" service.log answers "http://127.0.0.1:$ops/readyz"
fi

curl --noproxy '*' --silent --show-error --fail --output "$work/openapi.json" "$url/openapi.json" ||
  die "$url/openapi.json cannot be read"
operations=$(python3 - "$work/openapi.json" <<'PY'
import json
import sys

verbs = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
print(sum(len(verbs & set(path)) for path in json.load(open(sys.argv[1])).get("paths", {}).values()))
PY
)
[ "$operations" -gt 0 ] || die "$url/openapi.json names no operation"

# A method that a path does not have is 405, but 501 where there is no such path (images-v2.md 2.5), which a generated id
# with a slash in it leads to: that is no failure of the service.
cat >"$work/schemathesis.toml" <<'TOML'
[phases.coverage]
unexpected-methods = []
TOML

# a half of the cases, and a tenth more, because some operations have fewer different inputs than that
each=$(((cases * 11 / 20 + operations - 1) / operations))
total=0 found=0
for who in admin member; do
  began=$SECONDS status=0
  timeout --kill-after=10 "$seconds" .venv/schemathesis/bin/schemathesis \
    --config-file "$work/schemathesis.toml" run "$work/openapi.json" --url "$url" \
    --header "X-Auth-Token: fuzz-$who:fuzz:$who" --checks "$checks" --phases examples,coverage,fuzzing --seed "$seed" \
    --max-examples "$each" --continue-on-failure --generation-database none --suppress-health-check all \
    --request-timeout 20 --no-color >"$work/$who.out" 2>&1 || status=$?
  [ "$status" -ne 124 ] && [ "$status" -ne 137 ] || die "as $who it took longer than $seconds s (seed $seed)"
  # not every failure is one of the service: usage, or a document that cannot be understood
  made=$(sed -nE 's/^ *([0-9][0-9,]*) generated.*/\1/p' "$work/$who.out" | tail -n 1 | tr -d ,)
  [ -n "$made" ] || { tail -n 40 "$work/$who.out" >&2; die "the run as $who did not finish"; }
  total=$((total + made))
  printf '%-7s %5d cases on %d operations, seed %s: %s  (%d s)\n' "$who" "$made" "$operations" "$seed" \
    "$([ "$status" -eq 0 ] && echo 'nothing found' || echo 'FAILED')" $((SECONDS - began))
  if [ "$status" -ne 0 ]; then
    found=1
    # its own summary has a curl line for each finding
    sed -n '/^=* \(ERRORS\|FAILURES\) =*$/,$p' "$work/$who.out"
  fi
done
[ "$found" -eq 0 ] || die 'the service does not do what its document says'
[ "$total" -ge "$cases" ] || die "only $total cases were made, of $cases"
printf '%d cases passed\n' "$total"
