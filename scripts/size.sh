#!/usr/bin/env bash
# Builds the binary of the container image and holds its size, and the memory of a service at rest, against their limits.
#
# Environment: VITRINE (a binary with `vitrine dev`, for what the service stands on; default: the debug build).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

binary_limit=$((40 * 1000 * 1000)) memory_limit=$((40 * 1024))
# for what a service does in the first moments: caches, the pool, the first round of the background work
rest=10

unset DATABASE_URL VITRINE_CONFIG "${!VITRINE__@}" "${!AWS_@}" "${!OS_@}"
build
image=$(target_directory)/image
cargo build --release --locked --no-default-features --bin vitrine --target-dir "$image"
binary=$image/release/vitrine
bytes=$(stat -c %s "$binary")
awk -v is="$bytes" -v limit="$binary_limit" 'BEGIN { printf "binary  %5.1f MB, at most %d\n", is / 1e6, limit / 1e6 }'

backing rest
read -r port ops < <(free_ports 2)
start service.log beside "$work/rest.env" env VITRINE__SERVER__BIND="127.0.0.1:$port" \
  VITRINE__SERVER__OPS_BIND="127.0.0.1:$ops" "$binary" serve
service=${pids[-1]}
await 'the service' 60 "$service" service.log answers "http://127.0.0.1:$ops/readyz"
answers "http://127.0.0.1:$port/healthcheck" || die 'the service does not answer'
sleep "$rest"
memory=$(awk '/^VmRSS:/ { print $2 }' "/proc/$service/status")
awk -v is="$memory" -v limit="$memory_limit" 'BEGIN { printf "memory  %5.1f MiB at rest, at most %d\n", is / 1024, limit / 1024 }'
[ "$bytes" -le "$binary_limit" ] || die 'the binary is too large'
[ "$memory" -le "$memory_limit" ] || die 'the service takes too much memory'
