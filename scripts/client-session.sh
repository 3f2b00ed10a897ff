#!/usr/bin/env bash
# Sessions of the stock clients, with two replicas behind one address: what one has taken must be known to the other.
# Ends at the first thing that is not as it should be.
#
#   scripts/client-session.sh [SESSION...]      all of them without a name
#
#   v1          python-glanceclient and curl, API v1
#   openstack   python-openstackclient, API v2, with callers that a real Keystone knows
#   glance      python-glanceclient, likewise
#   sdk         openstacksdk, likewise
#   metadefs_openstack, metadefs_glance
#               the same clients, metadata definitions
#   osc         openstack_cli, the client in Rust, likewise; only when named, since building it takes many minutes
#
# Environment: VITRINE (a binary; default: the debug build), KEYSTONE_VENV (a virtual environment for
# scripts/keystone.sh; default .venv/keystone), OSC (the program of the session osc), KEEP_LOGS (a directory for the
# logs of a failed run).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/clients/lib.sh

[ $# -gt 0 ] || set -- v1 openstack glance sdk metadefs_openstack metadefs_glance
for session in "$@"; do
  [[ $session =~ ^(v1|openstack|glance|sdk|metadefs_openstack|metadefs_glance|osc)$ ]] ||
    die "no session $session; there are: v1 openstack glance sdk metadefs_openstack metadefs_glance osc"
done

# settings of whoever calls this must not reach the service or the clients
unset DATABASE_URL VITRINE_CONFIG "${!VITRINE__@}" "${!AWS_@}" "${!OS_@}"
export no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
for program in script curl; do
  command -v "$program" >/dev/null || die "missing: $program"
done
pinned clients openstack
build

deployed=
for session in "$@"; do
  printf '%s\n' "---- $session"
  if [ "$session" = v1 ]; then
    stop_all
    . scripts/clients/v1.sh
    stop_all
    deployed=
    continue
  fi
  # the sessions of v2 share one deployment and leave nothing in it
  [ -n "$deployed" ] || deploy_for_v2
  deployed=yes
  . "scripts/clients/$session.sh"
  both_were_asked
  nothing_is_left 2
done
printf '%d passed, 0 failed\n' "$checks"
