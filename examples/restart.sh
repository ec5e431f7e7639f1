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
work='read -r job; sleep 0.005; echo "$job" >> did'
for goal in 5 12 20; do
  wrun --on farm/jobs --keep work --from 1 -- sh -c "$work" >/dev/null &
  worker=$!
  until_lines "$goal"
  kill -9 "$worker"
  wait "$worker" 2>/dev/null || :
  # The program that ran for it is on its own now and ends by itself.
  sleep 0.1
done

wrun --on farm/jobs --keep work -- sh -c "$work" >/dev/null &
worker=$!
until_lines 40
until [ "$(tail -n 1 did)" = 40 ]; do
  sleep 0.01
done
# Asked to end it ends between two elements, with status 0.
kill "$worker"
wait "$worker"

check 'all are run, in order' "$(seq 40 | paste -s -d ' ' -)" "$(uniq did | paste -s -d ' ' -)"
again=$(uniq -d did | wc -l)
check 'run twice, of 3 kills' 'at most 3' "$([ "$again" -le 3 ] && echo 'at most 3' || echo "$again")"
check 'the position' 'done 40' "$(grep done farm/.woof/positions/work)"
