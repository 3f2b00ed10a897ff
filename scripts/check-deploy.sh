#!/usr/bin/env bash
# Checks everything that installs the service, without a cluster and without a container engine: every executable
# scripts/deploy/check-*, in order of name. Each says what it looked at, and fails with what is wrong.
#
#   scripts/check-deploy.sh [WORD...]      only those whose name contains one of the words
#
# Environment: VITRINE (a binary; default: the debug build).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

unset DATABASE_URL VITRINE_CONFIG "${!VITRINE__@}" "${!AWS_@}" "${!OTEL_@}" "${!OS_@}"
pinned deploy check-jsonschema
build
VITRINE=$(realpath "$vitrine")
export VITRINE PATH=$PWD/.venv/deploy/bin:$PATH PYTHONDONTWRITEBYTECODE=1

wanted() {
  local name=$1 word
  shift
  [ $# -gt 0 ] || return 0
  for word in "$@"; do
    [[ $name != *"$word"* ]] || return 0
  done
  return 1
}

ran=0 failed=()
for check in scripts/deploy/check-*; do
  [ -x "$check" ] && wanted "$(basename "$check")" "$@" || continue
  ran=$((ran + 1))
  printf '== %s\n' "$(basename "$check")"
  begun=$SECONDS
  "$check" || failed+=("$(basename "$check")")
  printf '   %d s\n' $((SECONDS - begun))
done
[ "$ran" -gt 0 ] || die "there is no check of that name"
[ ${#failed[@]} -eq 0 ] || die "${#failed[@]} of $ran checks failed: ${failed[*]}"
printf '\n%d checks of the deployment passed\n' "$ran"
