//! A disk that is full: what fails is what takes room. That is what makes a file (the log of triggers, the dead-letter woof, the woof of those that
//! are put back, the bindings), and what is written to woofs that have not taken all of theirs.

use crate::support::Sandbox;
use crate::woofs::with_mounts;

/// A small disk that can be filled, a server on it, and a way to wait.
const START: &str = r#"
mkdir disk && mount -t tmpfs -o size=120m none disk && cd disk || exit 9
log=../log notes=../notes
until_so() {
  n=0
  until eval "$1" 2>/dev/null; do
    n=$((n + 1)); [ $n -lt 2400 ] || { echo "never: $1" >&2; cat $log >&2; exit 3; }
    sleep 0.05
  done
}
handler() { printf '#!/bin/sh\n%s\n' "$2" > farm/handlers/$1; chmod 755 farm/handlers/$1; }
fill() { cat /dev/zero > fill 2>/dev/null; }
# Has woofs take all their room now.
whole() { for woof; do fallocate -l $(stat -c %s $woof) $woof || exit 9; done; }
notes() { [ "$(sort -n $notes | paste -s -d ' ')" = "$1" ]; }
count() { wstat --triggers farm --json | sed -n "$1s/.*\"$2\":\([0-9]*\).*/\1/p"; }
trap 'kill $server 2>/dev/null; wait' EXIT
touch $notes
wcreate -p farm/temp --type i64 --history 1000 --capacity 64KiB
whole farm/temp
handler note 'read v; echo $v >> ../../notes'
wbind farm/temp note
"#;

fn on_a_small_disk(what: &str, script: &str) {
    let sandbox = Sandbox::new();
    let Some(ran) = with_mounts(&sandbox, what, &format!("{START}{script}")) else { return };
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(ran.text(), "ok\n");
}

#[test]
fn without_room_for_the_log_of_triggers_nothing_runs_and_all_does_once_there_is() {
    on_a_small_disk(
        "no room for the log of triggers",
        "fill
         wput farm/temp 1 2 3 > acks || exit 4
         wserve . 2> $log & server=$!
         until_so 'grep -q \"its handlers do not run.*triggers.*no space left on device\" $log'
         wput farm/temp 4 > acks || exit 5
         sleep 2.5
         [ -s $notes ] && exit 6
         [ $(grep -c 'its handlers do not run' $log) = 1 ] || exit 7
         rm fill
         until_so 'notes \"1 2 3 4\"'
         until_so '[ $(count 1 done) = 4 ]'
         echo ok",
    );
}

#[test]
fn results_are_written_down_on_a_full_disk_and_dead_letters_once_there_is_room() {
    on_a_small_disk(
        "no room for dead letters",
        "wcreate farm/bad --history 100 --capacity 64KiB
         whole farm/bad
         handler fails 'echo x >> ../../fails; exit 7'
         wbind farm/bad fails --retries 0
         wserve . 2> $log & server=$!
         wput farm/temp 1 > acks
         until_so '[ $(count 1 done) = 1 ]'
         whole farm/.woof/triggers
         fill
         wput farm/temp 2 3 > acks || exit 4
         until_so '[ $(count 1 done) = 3 ]'
         wput farm/bad x > acks || exit 5
         until_so 'grep -q \"the dead-letter woof cannot be written.*no space left on device\" $log'
         [ $(count 2 dead) = 0 ] || exit 6
         until_so '[ $(grep -c \"the dead-letter woof cannot be written\" $log) -ge 3 ]'
         [ $(wc -l < ../fails) = 1 ] || exit 10
         said=$(grep -c 'the dead-letter woof cannot be written' $log)
         wput farm/temp 4 > acks
         until_so 'notes \"1 2 3 4\"'
         until_so '[ $(count 1 done) = 4 ]'
         kill -9 $server; wait $server 2>/dev/null
         wserve . 2>> $log & server=$!
         until_so '[ $(grep -c \"the dead-letter woof cannot be written\" $log) -gt $said ]'
         rm fill
         until_so '[ $(count 2 dead) = 1 ]'
         [ $(wget farm/.woof/dead -u | grep -c 'exit status 7') = 1 ] || exit 7
         # Once for each server.
         [ $(wc -l < ../fails) = 2 ] || exit 11
         fill
         wbind retry farm 2>../said && exit 8
         grep -q 'no space left on device' ../said || exit 9
         rm fill
         handler fails 'read v; echo 5 >> ../../notes'
         wbind retry farm
         until_so 'notes \"1 2 3 4 5\"'
         echo ok",
    );
}

#[test]
fn bindings_that_cannot_be_written_stay_as_they_are_and_so_does_what_is_held() {
    on_a_small_disk(
        "no room for bindings",
        "wcreate farm/free --type i64 --history 10 --element-size 8
         wcreate farm/held --type i64 --history 10 --element-size 8
         whole farm/free farm/held
         wbind farm/held note && wbind pause farm/held || exit 3
         wserve . 2> $log & server=$!
         until_so '[ -e farm/.woof/triggers ]'
         whole farm/.woof/triggers
         wbind list farm > before
         fill
         for change in 'farm/free note' 'remove farm/temp' 'remove farm/held' 'pause farm/temp'; do
           wbind $change 2>../said && exit 4
           grep -q 'no space left on device' ../said || { cat ../said; exit 5; }
         done
         wbind list farm | cmp - before || exit 6
         # Of the one nothing is held; of the others still all.
         seq 50 | wput -q farm/free > ../acks || exit 7
         seq 50 | wput farm/held > ../acks 2>../said && exit 7
         grep -q 'full of elements whose handlers are not done: the oldest is 1' ../said || { cat ../said; exit 7; }
         wput farm/temp 1 2 > ../acks || exit 8
         until_so 'notes \"1 2\"'
         rm fill
         wbind farm/free note && wbind remove farm/temp || exit 9
         wput farm/temp 3 > ../acks; wput farm/free 4 > ../acks
         until_so 'notes \"1 2 4\"'
         echo ok",
    );
}

#[test]
fn without_room_in_the_log_of_triggers_nothing_more_runs_and_all_does_once_there_is() {
    on_a_small_disk(
        "no room in the log of triggers",
        "wserve . 2> $log & server=$!
         wput farm/temp 0 > acks
         until_so 'notes 0'
         fill
         for n in $(seq 2000); do
           wput farm/temp $n > ../acks || exit 4
           ! grep -q 'triggers: append after element .*: no space left on device' $log || break
         done
         grep -q 'triggers: append after element .*: no space left on device' $log || exit 5
         ran=$(wc -l < $notes)
         wput farm/temp -1 -2 > ../acks || exit 6
         sleep 2.5
         [ $(wc -l < $notes) -le $((ran + 1)) ] || exit 7
         kill -0 $server || exit 8
         rm fill
         seq 0 $n > ../want
         until_so '{ cat ../want; echo -1; echo -2; } | sort -n | cmp -s - $(sort -un $notes > ../ran; echo ../ran)'
         echo ok",
    );
}
