#!/bin/sh
# Builds the benchmarks and runs them against the binary in WOOF (the static release binary). Arguments go to woofbench:
# groups of rows (all of them by default), --quick, --markdown, --dir DIR (where to work: a disk, not a tmpfs).
set -eu
: "${WOOF:?names no binary: use make bench, or set it to the static release binary}"
case $WOOF in /*) ;; *) WOOF=$PWD/$WOOF ;; esac
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$target/bench"

# What starting a process costs at the least: a program that does nothing, linked as ours is.
EMPTY=$target/bench/empty
printf 'fn main() {}\n' > "$EMPTY.rs"
rustc -C opt-level=3 -C target-feature=+crt-static -o "$EMPTY" "$EMPTY.rs"

# With the flags of `make build`, so that nothing is built twice.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
  "${CARGO:-cargo}" build --release --locked --target "$host" -p woofbench

commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
git diff --quiet HEAD 2>/dev/null || commit="$commit with changes"
printf '%s, commit %s\n' "$(date -u +%Y-%m-%d)" "$commit" >&2
export WOOF EMPTY
exec "$target/$host/release/woofbench" --dir "${BENCH_DIR:-$target/bench}" "$@"
