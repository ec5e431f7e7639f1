#!/bin/sh
# The runs test: three stages of handlers, in one namespace or, with --servers, in three of three servers.
#
#   run.sh [--count N] [--size N] [--seed N] [--alpha A] [--servers]
#
# WOOF names the binary, RUNS_TEST the program of the handlers (cargo build --example runs-test).

set -eu
count=30 size=30 seed=1 alpha=0.05 servers=
while [ $# -gt 0 ]; do
  case $1 in
    --count) count=$2; shift 2 ;;
    --size) size=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --alpha) alpha=$2; shift 2 ;;
    --servers) servers=yes; shift ;;
    *) echo "$0: $1: no such flag" >&2; exit 2 ;;
  esac
done
unset WOOF_CHANNELS
export WOOF_NAMES=
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
woof=$(command -v "${WOOF:-woof}") || { echo "$0: no woof: say WOOF=path/to/woof" >&2; exit 2; }
stages=${RUNS_TEST:-$here/../../target/debug/examples/runs-test}
[ -x "$stages" ] || { echo "$0: no $stages: cargo build --example runs-test, or say RUNS_TEST=path" >&2; exit 2; }

dir=$(mktemp -d)
pids=
finish() {
  status=$?
  trap '' INT TERM HUP
  for pid in $pids; do kill "$pid" 2>/dev/null || :; done
  for pid in $pids; do wait "$pid" 2>/dev/null || :; done
  rm -rf "$dir"
  exit "$status"
}
trap finish EXIT INT TERM HUP
"$woof" --install-links "$dir/bin" >/dev/null
PATH=$dir/bin:$PATH

if [ "$servers" ]; then
  r=$dir/one/r s=$dir/two/s k=$dir/three/k prefix=woof://
else
  r=$dir/runs s=$r k=$r prefix=
fi
for namespace in "$r" "$s" "$k"; do
  wcreate --namespace "$namespace"
done
all=$((count * size))
wcreate "$r/rargs" --type json --history $((all + 1)) --capacity 64MiB
wcreate "$s/rvals" --type f64 --history "$all"
wcreate "$s/sargs" --type json --history "$count"
wcreate "$k/svals" --type f64 --history "$count"
wcreate "$k/kargs" --type json
wcreate "$k/result"
# One request leads to the next, as often as there are numbers.
for stage in "$r generate rargs" "$s runs sargs" "$k ks kargs"; do
  # shellcheck disable=SC2086
  set -- $stage
  cp "$stages" "$1/handlers/$2"
  into=
  [ "$2" = ks ] && into='--into result'
  # shellcheck disable=SC2086
  wbind "$1/$3" "$2" --named --chain $into
done
first="{\"i\":0,\"j\":0,\"count\":$count,\"size\":$size,\"alpha\":$alpha,\"seed\":$seed,\"seqno\":0,\
\"rargs\":\"$prefix$r/rargs\",\"rvals\":\"$prefix$s/rvals\",\"sargs\":\"$prefix$s/sargs\",\
\"svals\":\"$prefix$k/svals\",\"kargs\":\"$prefix$k/kargs\"}"
if [ "$servers" ]; then
  for server in one two three; do
    wserve "$dir/$server" 2>"$dir/$server.log" &
    pids="$pids $!"
  done
  # A stage that does not reach the next one is tried again, but not for ever.
  for server in one two three; do
    until [ -S "$dir/$server/.woof/server.sock" ]; do sleep 0.05; done
  done
  wput "$r/rargs" --handler generate "$first" >/dev/null
  wtail "$k/result" --from 1 --count 1 -u
else
  wput "$r/rargs" --handler generate "$first" >/dev/null
  wserve --once "$r"
  wget "$k/result" -u
fi
