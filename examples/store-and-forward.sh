#!/bin/sh
# Store and forward: an edge keeps what its sensor says in a woof, and a handler forwards it over TLS to a hub. The link is cut for a while, and
# both servers are killed. In the end the hub has everything, in order.

. "$(dirname -- "$0")/setup.sh"

hub='' edge=''
# Starts the hub at an address, and says in "address" where it listens. Without it there is no way to the hub.
hub() {
  : >hub.log
  wserve hub --listen "${1:-127.0.0.1:0}" 2>hub.log &
  hub=$!
  servers="$hub $edge"
  until_so 'grep -q "serving.*listen=" hub.log'
  address=$(grep -o '127\.0\.0\.1:[0-9]*' hub.log | head -n 1)
}

edge() {
  wserve edge 2>>edge.log &
  edge=$!
  servers="$hub $edge"
}

# As a loss of power does.
end() {
  kill -9 "$1"
  wait "$1" 2>/dev/null || :
}

# until_so CONDITION: waits for it.
until_so() {
  tries=0
  until eval "$1"; do
    tries=$((tries + 1))
    [ "$tries" -lt 12000 ] || check "$1" 'true' 'not so after ten minutes'
    sleep 0.05
  done
}

# A column of what is going on with the triggers.
triggers() {
  wstat --triggers edge --json | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}

# The hub lets the identity "edge" put into its namespace farm, and do nothing else.
WOOF_KEYS=$sandbox/keys
export WOOF_KEYS
wkey init lab >/dev/null
wkey add edge >/dev/null
wcreate -p hub/farm/temp --type f64
wattr hub/farm grant user edge put
hub

# The edge: a woof, the handler, and where it forwards to.
wcreate -p edge/temp --type f64
cp "$examples/handlers/forward.sh" edge/handlers
cp -R keys edge/keys
echo "woof://$address/farm" >edge/hub
wbind edge/temp forward.sh --stream --group hub --retries 1000000 --limit 10s
edge

seq 100 | wput edge/temp >/dev/null
until_so '[ "$(triggers done)" = 100 ]'
check 'forwarded' '100' "$(wget hub/farm/temp .. -u | wc -l | tr -d ' ')"

# The link is cut. The sensor does not mind; what it says waits, and its handler fails and is tried again.
end "$hub"
seq 101 250 | wput edge/temp >/dev/null
until_so '[ "$(triggers failed)" -gt 0 ]'
# Both of one moment: what is pending now may run the next.
open=$(wstat --triggers edge --json | sed 's/.*"pending":\([0-9]*\),"running":\([0-9]*\).*/\1 + \2/')
check 'stored while the link is cut' '150' "$(($open))"

# Meanwhile the edge loses its power, and comes back.
end "$edge"
edge
seq 251 300 | wput edge/temp >/dev/null

# The link is back.
hub "$address"
until_so '[ "$(triggers done)" = 300 ]'
seq 300 >expected
# At least once: one that was under way may be there twice, the two next to each other.
check 'all at the hub, in order' 'the same' "$(wget hub/farm/temp .. -u | uniq | cmp - expected && echo 'the same')"
check 'given up or lost' '0' "$(($(triggers dead) + $(triggers lost)))"
