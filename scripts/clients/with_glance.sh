# How the sessions of python-glanceclient call it, API v2. To be sourced by them.
# shellcheck shell=bash

program=.venv/clients/bin/glance

# glance WHO ARGUMENT... : all it prints goes to $work/said
glance() {
  as "$1" on_terminal "$program" --os-image-api-version 2 "${@:2}" >"$work/said"
}

# said WHO ARGUMENT... : a command that must succeed
said() {
  glance "$@" || { cat "$work/said" >&2; die "glance ${*:2} failed for $1"; }
}

# refused WORDS WHO ARGUMENT... : a command that must fail and say why
refused() {
  if glance "${@:2}"; then
    cat "$work/said" >&2
    die "glance ${*:3} succeeds for $2"
  fi
  matches "glance $3 is refused" "$work/said" "$1"
}
