#!/bin/sh
# The first handler of everybody: what is put comes back from it.
#
#   wbind greet/names hello.sh --into greetings

read -r name
echo "hello, $name: element $WOOF_SEQNO of $WOOF_NAME"
