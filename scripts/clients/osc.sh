# A short session of openstack_cli, the client in Rust, API v2. To be sourced by client-session.sh.
# shellcheck shell=bash

program=${OSC:-.venv/osc/bin/osc}
[ -x "$program" ] || die "there is no $program; make clients-osc builds it"

# said WHO ARGUMENT... : a command that must succeed; its JSON goes to $work/said
said() {
  as "$1" "$program" "${@:2}" --output json >"$work/said" 2>"$work/told" </dev/null || {
    cat "$work/told" >&2
    die "osc ${*:2} failed for $1"
  }
}

# json EXPRESSION : of what was printed, as `d`
json() {
  python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/said" "$1"
}

said owner image image create --name rusty --disk-format raw --container-format bare
rusty=$(json 'd["id"]')
is 'create: status' "$(json 'd["status"]')" queued
is 'create: owner' "$(json 'd["owner"]')" "$alpha"
said owner image image show "$rusty"
is 'show: name' "$(json 'd["name"]')" rusty
said owner image image list
is 'list: has it' "$(json "any(i['id'] == '$rusty' for i in d)")" True
said other image image list
is 'list of another project' "$(json 'd')" '[]'
as owner "$program" image image delete "$rusty" >"$work/said" 2>&1 || { cat "$work/said" >&2; die 'osc image delete failed'; }
said owner image image list
is 'nothing is left' "$(json 'd')" '[]'
