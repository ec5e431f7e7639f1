#!/bin/sh
# A handler: says on standard error, which goes to the log of the server, what is too high.
#
#   wbind farm/temp alarm.sh --where 'value > 70'

read -r degrees
echo "$WOOF_NAME is at $degrees (element $WOOF_SEQNO of $WOOF_TIME)" >&2
