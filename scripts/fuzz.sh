#!/usr/bin/env bash
# Fuzzes the parsers and inspectors, guided by coverage, and prints one line for each target.
#
#   scripts/fuzz.sh [SECONDS] [TARGET...]      SECONDS for each target (default 60); all targets without a name
#
# Corpora grow from the seeds in fuzz/seeds under target/fuzz/corpus and are kept from run to run. Fails when an input
# breaks a target; such inputs are kept in target/fuzz/crashes, and the last lines say how to try one again.
#
# Environment: FUZZ_JOBS (targets at a time; default 1).
set -euo pipefail
cd "$(dirname "$0")/.."

cargo_fuzz=0.13.2
out=target/fuzz
tools=target/tools

die() {
  printf 'fuzz.sh: %s\n' "$*" >&2
  exit 2
}

# Longest input in bytes: enough for several of whatever the target reads, and short enough to be quick.
max_len() {
  case $1 in
    inspect) echo 16384 ;;
    patch | create_document) echo 8192 ;;
    *) echo 4096 ;;
  esac
}

# fuzz TARGET : becomes the fuzzer, whose report goes to $out/TARGET.log
fuzz() {
  local target=$1 corpus=$out/corpus/$1
  mkdir -p "$corpus" "$out/crashes/$target"
  # what is found goes to the first directory; the second one is only read
  exec "$out/$host/release/$target" "$corpus" "fuzz/seeds/$target" -max_total_time="$seconds" -timeout=5 \
    -rss_limit_mb=512 -max_len="$(max_len "$target")" -dict="fuzz/dicts/$target.dict" \
    -artifact_prefix="$out/crashes/$target/" -print_final_stats=1 >"$out/$target.log" 2>&1
}

# report TARGET STATUS : one line of the table
report() {
  awk -v target="$1" -v status="$2" '
    /^#[0-9]+/ { for (i = 1; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "ft:") ft = $(i + 1)
                 if ($i == "corp:") corpus = $(i + 1); if ($i == "rss:") rss = $(i + 1) } }
    /^stat::number_of_executed_units:/ { runs = $2 }
    /^stat::average_exec_per_sec:/ { rate = $2 }
    /^stat::peak_rss_mb:/ { rss = $2 "Mb" }
    /Test unit written to/ { found = $NF }
    END { printf "%-16s %12s %9s %7s %8s %16s %8s  %s\n", target, runs, rate, cov, ft, corpus, rss,
                 status == 0 ? "no crash" : (found != "" ? found : "exit " status) }' "$out/$1.log"
}

seconds=60
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  seconds=$1
  shift
fi
known=(fuzz/seeds/*/)
known=("${known[@]%/}")
known=("${known[@]##*/}")
targets=("$@")
[ $# -gt 0 ] || targets=("${known[@]}")
for target in "${targets[@]}"; do
  [[ " ${known[*]} " == *" $target "* ]] || die "unknown target: $target; known: ${known[*]}"
done
jobs=${FUZZ_JOBS:-1}
[[ $jobs =~ ^[1-9][0-9]*$ ]] || die "FUZZ_JOBS is not a number: $jobs"

host=$(rustc -vV | sed -n 's/^host: //p')
[[ $("$tools/bin/cargo-fuzz" --version 2>/dev/null || true) == "cargo-fuzz $cargo_fuzz" ]] ||
  cargo install cargo-fuzz --version "$cargo_fuzz" --locked --root "$tools"
# Without a sanitizer, for those need a nightly compiler; the service has no unsafe code for them to find fault with.
PATH=$PWD/$tools/bin:$PATH cargo fuzz build --sanitizer none --fuzz-dir fuzz --target-dir "$PWD/$out"

declare -A running=()
failed=()
printf '%-16s %12s %9s %7s %8s %16s %8s  %s\n' target executions per_sec cov features corpus rss result

# Waits until one of the targets that run has ended.
reap() {
  local pid status=0
  wait -n -p pid "${!running[@]}" || status=$?
  report "${running[$pid]}" "$status"
  [ "$status" -eq 0 ] || failed+=("${running[$pid]}")
  unset "running[$pid]"
}

stop() {
  trap - INT TERM EXIT
  [ "${#running[@]}" -eq 0 ] || kill "${!running[@]}" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for target in "${targets[@]}"; do
  [ "${#running[@]}" -lt "$jobs" ] || reap
  fuzz "$target" &
  running[$!]=$target
done
while [ "${#running[@]}" -gt 0 ]; do
  reap
done

for target in ${failed[@]+"${failed[@]}"}; do
  printf '\n%s failed; from %s:\n' "$target" "$out/$target.log" >&2
  grep -m5 -E "panicked at|^(assertion|  left|  right)|ERROR: libFuzzer|Test unit written" -A1 "$out/$target.log" >&2 ||
    tail -n 20 "$out/$target.log" >&2
  printf 'again: %s/%s/release/%s FILE\n' "$out" "$host" "$target" >&2
done
[ "${#failed[@]}" -eq 0 ]
