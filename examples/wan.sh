#!/bin/sh
# A server at the other end of a long link: how long things take there, beside ssh on the same link.
#
#   examples/wan.sh [RTT_MS]       (default: 100)
#
# The link is one of this machine: two network namespaces, and between them a loop that holds each packet back for half of the round trip.
# Nothing leaves the machine. It takes root and /dev/net/tun, util-linux, and woof-link: cargo build --release -p woof-link. The column of ssh is
# there when ssh and sshd are installed; sshd runs by hand, with keys of its own. Nothing is left behind.
#
#   WOOF        the binary (default: woof on the path)
#   WOOF_LINK   the woof-link to use (default: the one that was built in this tree)
#   COUNT       how many elements of 100 bytes are moved (default: 100000)
#   WITH_SSH=no leaves ssh out

die() {
  echo "${0##*/}: $*" >&2
  exit 2
}

now() {
  date +%s.%N
}

# Seconds since $1.
since() {
  awk -v from="$1" -v to="$(now)" 'BEGIN { printf "%.2f s", to - from }'
}

# row WHAT OURS SSH
row() {
  printf '%-47s %9s %9s\n' "$1" "$2" "$3"
}

# over COMMAND: by ssh on the other side, with nothing but what stands in $sandbox.
over() {
  ssh -F none -i "$sandbox/user" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "root@$LINK_THERE" "$@"
}

# timed COMMAND: runs it, and prints how long it took; what it prints goes to "got".
timed() {
  from=$(now)
  eval "$1" >"$sandbox/got"
  since "$from"
}

# first COMMAND: how long until its first byte is there.
first() {
  from=$(now)
  eval "$1" | {
    head -c 1 >/dev/null
    since "$from"
    cat >/dev/null
  }
}

# What runs on this side of the link.
side_a() {
  set -eu
  sandbox=$1 ssh=$2 count=$3
  far=woof://$LINK_THERE/farm
  # without_ssh COMMAND...: '-' where there is no ssh.
  if_ssh() {
    if [ "$ssh" = yes ]; then "$@"; else echo -; fi
  }
  same() {
    cmp "$1" "$2" >&2 || die 'what came is not what was sent'
  }

  row 'what' 'woof' 'ssh'
  ours=$(first "wget -u $far/temp")
  row 'one element, till its first byte' "$ours" "$(if_ssh first "over cat '$sandbox/one'")"

  wcreate "$far/lines" --history "$count" --capacity $((count * 160))
  ours=$(timed "wput $far/lines <'$sandbox/lines'")
  row "put $count elements, one a line" "$ours" "$(if_ssh timed "over 'cat >$sandbox/put' <'$sandbox/lines'")"
  [ "$ssh" = no ] || same "$sandbox/put" "$sandbox/lines"

  ours=$(timed "wget -u $far/lines ..")
  same "$sandbox/got" "$sandbox/lines"
  row 'get all of them' "$ours" "$(if_ssh timed "over cat '$sandbox/lines'")"

  ours=$(timed "wtail -u --from 1 --no-follow --where 'text.endsWith(\"00\")' $far/lines")
  grep '00$' "$sandbox/lines" >"$sandbox/matching"
  same "$sandbox/got" "$sandbox/matching"
  row 'one in a hundred of them, found here by grep' "$ours" "$(if_ssh timed "over cat '$sandbox/lines' | grep '00\$'")"
}

if [ "${1-}" = --side-a ]; then
  shift
  side_a "$@"
  exit
fi

rtt=${1-100}
case $rtt in
'' | *[!0-9]*) die "$rtt: expected a round trip in milliseconds" ;;
esac
count=${COUNT-100000}
self=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/${0##*/}

link=${WOOF_LINK-}
target=${CARGO_TARGET_DIR:-$(dirname -- "$self")/../target}
for built in "$target/release/woof-link" "$target/debug/woof-link"; do
  [ -n "$link" ] || [ ! -x "$built" ] || link=$built
done
[ -n "$link" ] || die "no woof-link: cargo build --release -p woof-link"
[ "$(id -u)" = 0 ] && [ -w /dev/net/tun ] || die "a long link takes root and /dev/net/tun"

. "$(dirname -- "$0")/setup.sh"
PATH=$PATH:/usr/sbin:/sbin
sshd=$(command -v sshd) || sshd=
ssh=no
if [ "${WITH_SSH-}" != no ] && [ -n "$sshd" ] && command -v ssh >/dev/null && command -v ssh-keygen >/dev/null; then
  ssh=yes
fi

WOOF_KEYS=$sandbox/keys
export WOOF_KEYS
wkey init example
wkey add "$(id -un)"
mkdir served
wcreate -p served/farm/temp --type f64
wput served/farm/temp 21.5 >/dev/null
echo 21.5 >one
awk -v count="$count" 'BEGIN { for (n = 1; n <= count; n++) printf "e%099d\n", n }' >lines

there="exec wserve '$sandbox/served' --listen \$LINK_HERE:7144 2>'$sandbox/server.log'"
if [ $ssh = yes ]; then
  for key in host user; do
    ssh-keygen -q -t ed25519 -N '' -f "$key"
  done
  cat >sshd_config <<END
Port 22
HostKey $sandbox/host
AuthorizedKeysFile $sandbox/user.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
UseDNS no
PidFile none
SetEnv SHLVL=2
LogLevel ERROR
END
  # sshd needs /run/sshd. It gets a /run that nobody else sees.
  run="mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec $sshd -D -e -f '$sandbox/sshd_config'"
  there="unshare --mount sh -c \"$run\" & $there"
fi

echo "A round trip of $rtt ms; $count elements of 100 bytes are $((count * 100)) bytes. Seconds from start to end of each command:"
"$link" --rtt "${rtt}ms" --there "$there" --there-port 7144 -- sh "$self" --side-a "$sandbox" "$ssh" "$count"
