# A session of openstacksdk, API v2. To be sourced by client-session.sh.
# shellcheck shell=bash

as owner .venv/clients/bin/python scripts/clients/sdk.py "$work/disk" "$format" \
  "http://127.0.0.1:$port_source/remote.raw" "$work/source/remote.raw" | tee "$work/sdk.out"
# a failure ends it, and with pipefail the session
checks=$((checks + $(grep -c '^ok ' "$work/sdk.out")))
