#!/bin/sh
# A program for each element, killed without warning in the middle and started again: every element is run, in order, and only
# the one under work at that moment can be run twice.

. "$(dirname -- "$0")/setup.sh"

wcreate -p farm/jobs
seq 40 | wput farm/jobs >/dev/null

# Waits until the file `did` has at least so many lines.
until_lines() {
  tries=0
  while [ "$(cat did 2>/dev/null | wc -l)" -lt "$1" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 1000 ] || check 'lines' "$1" "$(cat did)"
    sleep 0.01
  done
}

# The first start begins with element 1; later ones go on from the position, which is kept in farm/.woof/positions/work.
# The lock of the first is free as soon as it is dead, whatever became of the program it ran.
# shellcheck disable=SC2016
job='read -r number; sleep 0.005; echo "$number" >> did'
for goal in 5 12 20; do
  wrun --on farm/jobs --keep work --from 1 -- sh -c "$job" >/dev/null &
  worker=$!
  until_lines "$goal"
  kill -9 "$worker"
  # The program that ran for it is on its own now; it has its whole element, and ends by itself.
  wait "$worker" 2>/dev/null || :
done

wrun --on farm/jobs --keep work -- sh -c "$job" >/dev/null &
worker=$!
until grep -qx 40 did; do
  sleep 0.01
done
# Asked to end it ends between two elements, with status 0.
kill "$worker"
wait "$worker"

check 'all are run, in order' "$(seq 40 | paste -s -d ' ' -)" "$(awk '!seen[$1]++' did | paste -s -d ' ' -)"
again=$(sort did | uniq -d | wc -l)
check 'run twice, of 3 kills' 'at most 3' "$([ "$again" -le 3 ] && echo 'at most 3' || echo "$again")"
check 'the position' '40' "$(awk '$1 == "done" { print $2 }' farm/.woof/positions/work)"
