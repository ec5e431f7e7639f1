#!/bin/sh
# A woof that is carried to another one from a kept position: whoever is killed in the middle, each element arrives once, in order.
# Here both are on this machine; with `wput woof://hub/farm/temp` the other one is elsewhere, and days without a link do no harm.

. "$(dirname -- "$0")/setup.sh"

wcreate -p farm/temp --type i64
wcreate -p farm/hub --type i64
mkfifo pipe

first=1
for victim in wtail wput wtail wput both; do
  # Both ends are open before anybody is started: who opens one alone waits for the other, which may be killed before it comes.
  exec 3<>pipe
  exec 4>pipe 5<pipe
  wtail --keep up --from 1 farm/temp >&4 2>/dev/null 3>&- 4>&- 5>&- &
  reader=$!
  wput farm/hub <&5 >/dev/null 2>&1 3>&- 4>&- 5>&- &
  writer=$!
  exec 3>&- 4>&- 5>&-
  seq "$first" $((first + 1999)) | wput farm/temp >/dev/null
  first=$((first + 2000))
  sleep 0.02
  case $victim in
  wtail) kill -9 "$reader" ;;
  wput) kill -9 "$writer" ;;
  both) kill -9 "$reader" "$writer" ;;
  esac
  # The other one ends by itself: its pipe has no other end any more.
  wait "$reader" 2>/dev/null || :
  wait "$writer" 2>/dev/null || :
done

# Once more, to the end of what is there.
wtail --keep up farm/temp --no-follow | wput farm/hub >/dev/null

check 'arrived' '10000' "$(wget farm/hub .. -u | wc -l | tr -d ' ')"
seq 10000 >expected
check 'each once, in order' 'the same' "$(wget farm/hub .. -u | cmp - expected && echo 'the same')"
check 'the position' '10000' "$(awk '$1 == "done" { print $2 }' farm/.woof/positions/up)"
