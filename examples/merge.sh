#!/bin/sh
# Many streams into one: by time, and as they come. With bash the FIFOs are written <(wget farm/temp ..).

. "$(dirname -- "$0")/setup.sh"

wcreate -p farm/temp --type f64
wcreate farm/wind --type f64
for value in 1 2 3; do
  wput farm/temp "2$value" >/dev/null
  wput farm/wind "$value" >/dev/null
done

mkfifo temp wind
wget farm/temp .. > temp &
wget farm/wind .. > wind &
check 'merged by time' '21 1 22 2 23 3' "$(wmerge --by time temp wind | wcat | paste -s -d ' ' -)"

# Each element is still known to be of its woof, and the chart of the stream is one for each.
wget farm/temp .. > temp &
wget farm/wind .. > wind &
check 'charts of a merged stream' 'farm/temp  3 values  min 21  max 23  last 23,farm/wind  3 values  min 1  max 3  last 3' \
  "$(wmerge --by time temp wind | wcat --plot | grep values | paste -s -d , -)"

# As they come, and counted. Channels are named in the environment; a command takes them by @name.
check 'counted' '6' "$(WOOF_CHANNELS='in=<0,out=>1,temp=<5,wind=<6' wmerge @temp @wind 5<<TEMP 6<<WIND | wcount
21
22
23
TEMP
1
2
3
WIND
)"
