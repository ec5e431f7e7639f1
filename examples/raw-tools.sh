#!/bin/sh
# UNIX tools and streams, mixed: raw bytes are welcome everywhere, and come out again by -u or at the end.

. "$(dirname -- "$0")/setup.sh"

# Raw lines in: each becomes an element.
wcreate -p farm/temp --type f64
readings | wput farm/temp >/dev/null

# Raw lines out: -u writes what any tool can read.
check 'hottest by awk' '75.9' "$(wget farm/temp .. -u | awk '$1 > max { max = $1 } END { print max }')"
check 'over 75 by awk and by a predicate' \
  "$(readings | awk '$1 > 75' | wc -l | tr -d ' ')" "$(wget farm/temp .. | wfilter 'value > 75' | wcount)"

# A tool in the middle of a stream: wrun gives it the data, and its lines are data again.
check 'sed in a stream' '40 degrees' "$(wget farm/temp -2.. | wrun -- sed 's/$/ degrees/' | wcat | head -n 1)"

# Without a woof: lines in, a predicate, lines out. The grep is any grep.
check 'grep after a predicate' '57 67 77 87 97' "$(seq 100 | wfilter 'value > 50' | wcat | grep '7$' | paste -s -d ' ' -)"

# JSON lines for jq, where there is one.
if command -v jq >/dev/null; then
  check 'numbers by jq' '[8758,40],[8759,39.6]' \
    "$(wget farm/temp -2.. --json | jq -c 'select(.type == "elem") | [.seqno, .value]' | paste -s -d , -)"
fi

# A stream in a file is a stream: cut it, and everybody who reads it says so.
wget farm/temp 1..100 > saved
check 'a saved stream' '100' "$(wcount < saved)"
head -c 1000 saved > cut
if wcat cut >/dev/null 2>message; then
  check 'a cut stream' 'an error' 'none'
fi
check 'a cut stream' 'wcat: cut: stream cut after' "$(cut -d ' ' -f 1-5 message)"
