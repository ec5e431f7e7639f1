#!/bin/sh
# Alerts: what is over a limit goes into a woof of its own as it comes, and a program is run for each of it.

. "$(dirname -- "$0")/setup.sh"

wcreate -p farm/temp --type f64
wcreate farm/alerts --type f64

# The follower begins with element 1, so that it does not matter whether it has started by the time of the first reading.
wtail farm/temp --from 1 --count 5 | wfilter 'value > 50' | wput farm/alerts >/dev/null &
follower=$!
wput farm/temp 20.5 55 49.9 50 71.25 >/dev/null
wait "$follower"
check 'alerts' '55 71.25' "$(wget farm/alerts .. -u | paste -s -d ' ' -)"

# A program for each alert: the element is its standard input, its number is in its environment.
# shellcheck disable=SC2016
wrun --on farm/alerts --from 1 --count 2 -- sh -c 'read -r degrees; echo "$WOOF_NAME $WOOF_SEQNO: $degrees" >> sent' >/dev/null
check 'messages sent' 'farm/alerts 1: 55,farm/alerts 2: 71.25' "$(paste -s -d , sent)"

# The predicate can go to the source as well; then nothing else is read.
check 'the same at the source' '55 71.25' "$(wget farm/temp .. --where 'value > 50' -u | paste -s -d ' ' -)"
