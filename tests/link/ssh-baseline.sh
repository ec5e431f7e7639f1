#!/bin/sh
# What ssh does over a long link: what the namespace server is held against.
#
#   ssh-baseline.sh [RTT_MS...]       (default: 0 50 200)
#
# Prints a line for each round trip: seconds until the first byte of a command's output is there (the median of
# three connections), and seconds for 'ssh HOST cat FILE' with the file's megabytes a second.
#
#   WOOF_LINK      the woof-link to use (default: the release or debug build of this tree)
#   LINK_OPTIONS   more options for it, such as '--rate 12MB/s --loss 0.001'
#   SIZE_MB        size of the file in megabytes (default: 100)
#
# Needs root, /dev/net/tun, OpenSSH's server and client, and util-linux. sshd runs by hand on side B, with keys and settings in a
# temporary directory and with a /run of its own; nothing of the system's is read or changed. It ends with the script.
set -eu

die() {
    echo "ssh-baseline: $*" >&2
    exit 2
}

now() {
    date +%s.%N
}

# Seconds from $1 to $2, with milliseconds.
between() {
    awk -v from="$1" -v to="$2" 'BEGIN { printf "%.3f", to - from }'
}

# ssh to the other side, with nothing but what stands in $dir.
over() {
    ssh -F none -i "$dir/user" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "root@$LINK_THERE" "$@"
}

# What runs on side A: measures, and prints one line.
side_a() {
    first=$(
        for _ in 1 2 3; do
            from=$(now)
            # The time is taken when the first byte is read, not when ssh has ended.
            to=$(over echo x | { head -c 1 >/dev/null; now; })
            between "$from" "$to"
            echo
        done | sort -n | sed -n 2p
    )
    from=$(now)
    bytes=$(over cat "$dir/file" | wc -c)
    all=$(between "$from" "$(now)")
    [ "$bytes" -eq $((size_mb * 1000000)) ] || die "$bytes bytes came over the link, not $size_mb MB"
    awk -v rtt="$rtt" -v first="$first" -v all="$all" -v mb="$size_mb" \
        'BEGIN { printf "%6d %14.3f %14.3f %8.1f\n", rtt, first, all, mb / all }'
    # The link goes with this command, and sshd's processes only notice an end that has come over it.
    sleep "$(awk -v rtt="$rtt" 'BEGIN { print 0.3 + rtt / 1000 }')"
}

size_mb=${SIZE_MB:-100}
if [ "${1-}" = --side-a ]; then
    rtt=$2 dir=$3
    side_a
    exit
fi

for word in "$@"; do
    case $word in
    '' | *[!0-9]*) die "$word: expected round trips in milliseconds" ;;
    esac
done
[ $# -gt 0 ] || set -- 0 50 200

here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
woof_link=${WOOF_LINK:-}
for built in "$target/release/woof-link" "$target/debug/woof-link"; do
    [ -n "$woof_link" ] || [ ! -x "$built" ] || woof_link=$built
done
[ -n "$woof_link" ] || die "no woof-link: build it with 'cargo build --release -p woof-link'"
PATH=$PATH:/usr/sbin:/sbin
# sshd wants to be called by its whole path.
sshd=$(command -v sshd) || die "no sshd: install openssh-server"
for tool in ssh ssh-keygen unshare; do
    command -v "$tool" >/dev/null || die "no $tool: install openssh-client and util-linux"
done

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
head -c $((size_mb * 1000000)) /dev/urandom >"$dir/file"
# A bash that thinks it is not the first shell does not read the user's .bashrc, which may take longer than ssh.
cat >"$dir/sshd_config" <<END
Port 22
HostKey $dir/host
AuthorizedKeysFile $dir/user.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
UseDNS no
PidFile none
SetEnv SHLVL=2
ClientAliveInterval 5
ClientAliveCountMax 2
LogLevel ERROR
END

# sshd needs /run/sshd. It gets a /run that nobody else sees.
there="unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec $sshd -D -e -f $dir/sshd_config'"

printf '%6s %14s %14s %8s\n' 'rtt ms' 'first byte s' "cat $size_mb MB s" 'MB/s'
for rtt in "$@"; do
    # The options are words.
    # shellcheck disable=SC2086
    "$woof_link" --rtt "${rtt}ms" ${LINK_OPTIONS:-} --there "$there" --there-port 22 -- \
        sh "$here/ssh-baseline.sh" --side-a "$rtt" "$dir"
done
