#!/bin/sh
# A handler: forwards a woof to the one of the same name on another server. In the namespace are the files "hub", which says where that is
# (woof://hub.example:7144/farm), and "keys", the keys that it is reached with.
#
#   wbind farm/temp forward.sh --stream --group hub --retries 1000000
#
# It is started once and reads all elements (--stream). Each is answered when the hub has it; while the link is cut, wput tries again. What has
# no answer after the time limit goes to the next one that is started, which asks the hub anew. So every element arrives, in order, as one
# of a group goes at a time; one that the hub took just before this was killed arrives twice. What the hub refuses is told in its words.

read -r hub <hub
WOOF_KEYS=$PWD/keys
export WOOF_KEYS
wput --json "$hub/$WOOF_NAME" |
  sed -u -n 's/^{"type":"seqno".*/ok/p; s/^{"type":"error".*"text":"\(.*\)"}$/failed \1/p'
