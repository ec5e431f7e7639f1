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

# The flags of `make build`: nothing is built twice, and the empty program below is linked as ours is.
static='-C target-feature=+crt-static -C relocation-model=static'
case $host in x86_64-*) static='-C target-feature=+crt-static,+sse4.2 -C relocation-model=static' ;; esac

# What starting a process costs at the least: a program that does nothing.
EMPTY=$target/bench/empty
printf 'fn main() {}\n' > "$EMPTY.rs"
# What tells when a handler started.
STARTED=$target/bench/started
cp tests/bench/started.rs "$STARTED.rs"
for program in "$EMPTY" "$STARTED"; do
  # shellcheck disable=SC2086 # several words on purpose
  rustc --edition 2024 -C opt-level=3 $static -o "$program" "$program.rs"
done

RUSTFLAGS="${RUSTFLAGS:-} $static" \
  AWS_LC_SYS_CFLAGS=-DBORINGSSL_NO_STATIC_INITIALIZER AWS_LC_SYS_NO_JITTER_ENTROPY=1 \
  "${CARGO:-cargo}" build --release --locked --target "$host" -p woofbench

commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
git diff --quiet HEAD 2>/dev/null || commit="$commit with changes"
printf '%s, commit %s\n' "$(date -u +%Y-%m-%d)" "$commit" >&2
export WOOF EMPTY STARTED
exec "$target/$host/release/woofbench" --dir "${BENCH_DIR:-$target/bench}" "$@"
