# A session of openstacksdk, API v2. To be sourced by client-session.sh.
# shellcheck shell=bash

as owner .venv/clients/bin/python scripts/clients/sdk.py "$work/disk" "$format" | tee "$work/sdk.out"
# a failure ends it, and with pipefail the session
checks=$((checks + $(grep -c '^ok ' "$work/sdk.out")))
