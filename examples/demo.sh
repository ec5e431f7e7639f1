#!/bin/sh
# A year of temperatures through a pipeline: readings are put into a woof while another pipeline follows it and puts those
# over 70 degrees into a second one. Run it by `make demo`, or with WOOF=path/to/woof. It leaves nothing behind.

. "$(dirname -- "$0")/setup.sh"

say() {
  printf '\n%s\n' "$*"
}

# Shows a command and runs it.
run() {
  printf '$ %s\n' "$1"
  eval "$1"
}

total=$(readings | grep -c .)
expected=$(awk -F , 'NR > 1 && $2 > 70' "$data/seattle-temps.csv" | wc -l)
expected=$((expected))

say 'Two woofs: append-only logs of numbers, each one file. No server is running.'
run 'wcreate -p farm/temp --type f64'
run 'wcreate farm/alerts --type f64'

say 'In the background: follow the temperatures, keep what is over 70, put it into the other woof.'
follow="wtail farm/temp --from 1 --count $total | wfilter 'value > 70' | wput farm/alerts"
printf '$ %s &\n' "$follow"
# Where this script writes into a pipe, wput would tell the next command in it the sequence numbers; there is none.
eval "$follow" >/dev/null &
follower=$!

say "Now the readings come: $total of them, one a line."
# It is shown the way one would type it; readings() is the same with the whole path.
printf '$ %s\n' 'tail -n +2 seattle-temps.csv | cut -d , -f 2 | wput farm/temp'
readings | wput farm/temp >/dev/null
wait "$follower" || {
  echo "$0: the pipeline in the background failed" >&2
  exit 1
}

say 'What is there now:'
run "wget farm/temp .. -u | wc -l | tr -d ' '"
run "wget farm/alerts .. -u | wc -l | tr -d ' '"

say 'The last alerts:'
run 'wget farm/alerts -5.. | wcat'

say 'The year:'
run 'wget farm/temp .. | wcat --plot'

say 'Does it add up?'
readings=$(wget farm/temp .. -u | wc -l)
alerts=$(wget farm/alerts .. -u | wc -l)
if [ "$((readings))" -ne "$total" ] || [ "$((alerts))" -ne "$expected" ]; then
  echo "$0: awk counts $total readings and $expected over 70, the woofs hold $((readings)) and $((alerts))" >&2
  exit 1
fi
echo "awk counts $expected readings over 70 in the file, and $((alerts)) alerts came through the stream: the same."
