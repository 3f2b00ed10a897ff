# How the sessions of python-openstackclient call it, API v2. To be sourced by them.
# shellcheck shell=bash

# osc WHO ARGUMENT... : results go to $work/said, complaints to $work/told
osc() {
  as "$1" .venv/clients/bin/openstack "${@:2}" >"$work/said" 2>"$work/told" </dev/null
}

# said WHO ARGUMENT... : a command that must succeed
said() {
  osc "$@" || { cat "$work/said" "$work/told" >&2; die "openstack ${*:2} failed for $1"; }
}

# refused WORDS WHO ARGUMENT... : a command that must fail and say why
refused() {
  if osc "${@:2}"; then
    die "openstack ${*:3} succeeds for $2"
  fi
  matches "openstack $3 $4 is refused" "$work/told" "$1"
}

# json EXPRESSION : of what was printed, as `d`
json() {
  python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/said" "$1"
}
