# Sourced by the examples: a directory of their own that goes away with them, the commands first on the path, and `check`.
# WOOF names the binary; without it the one on the path is used. Sets `data` to the directory with the readings.

set -eu
unset WOOF_CHANNELS
# No name table: what the user has set up is none of their business.
WOOF_NAMES=
export WOOF_NAMES
examples=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
data=$examples/data

woof=$(command -v "${WOOF:-woof}") || {
  echo "$0: no woof: build it and say WOOF=path/to/woof, or put it on the path" >&2
  exit 2
}

sandbox=
# The processes of servers, which are ended too.
servers=
# What follows a woof here ends when the woof is removed, so no process is left however this ends.
finish() {
  status=$?
  trap '' INT TERM HUP
  [ -n "$sandbox" ] || exit "$status"
  for name in "$sandbox"/farm/*; do
    [ ! -f "$name" ] || "$sandbox/bin/wrm" "$name" >/dev/null 2>&1 || :
  done
  for server in $servers; do kill "$server" 2>/dev/null || :; done
  wait
  cd /
  rm -rf "$sandbox"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
sandbox=$(mktemp -d)
readonly sandbox

"$woof" --install-links "$sandbox/bin" >/dev/null
PATH=$sandbox/bin:$PATH
cd "$sandbox"

# The readings, one number a line.
readings() {
  tail -n +2 "$data/seattle-temps.csv" | cut -d , -f 2
}

# check WHAT EXPECTED FOUND
check() {
  if [ "$2" = "$3" ]; then
    echo "ok: $1: $3"
  else
    echo "$0: $1: expected $2, found $3" >&2
    exit 1
  fi
}
