#!/bin/sh
# Handlers: programs that run when elements arrive, at least once, whatever is killed when.

. "$(dirname -- "$0")/setup.sh"

# Hello, world: a handler's output goes into a woof.
wcreate -p greet/names
wcreate greet/greetings
cp "$examples/handlers/hello.sh" greet/handlers
wbind greet/names hello.sh --into greetings
wput greet/names world >/dev/null
wserve --once .
check 'a greeting' 'hello, world: element 1 of names' "$(wget greet/greetings -u)"

# From a sensor to an alert to a message: the alarm's own output is data, for which the next handler runs.
wcreate -p farm/temp --type f64
wcreate farm/alerts
printf '#!/bin/sh\nread -r degrees; echo "$WOOF_NAME is at $degrees"\n' > farm/handlers/alert
printf '#!/bin/sh\nread -r text; echo "sent: $text" >> messages\n' > farm/handlers/message
chmod +x farm/handlers/*
wbind farm/temp alert --where 'value > 70' --into alerts --group alerts
wbind farm/alerts message --group messages
wput farm/temp 20.5 71 69.9 88.25 >/dev/null
wserve --once .
check 'messages' 'sent: temp is at 71,sent: temp is at 88.25' "$(paste -s -d , farm/messages)"

# What fails is tried again, then given up, and can be put back when the handler is mended.
rm farm/handlers/alert
wput farm/temp 99 >/dev/null
status=0
wserve --once . 2>/dev/null || status=$?
check 'one was given up' '1' "$status"
check 'why' '1' "$(wget farm/.woof/dead -u | grep -c 'no such handler: there is no handlers/alert')"
printf '#!/bin/sh\necho again\n' > farm/handlers/alert
chmod +x farm/handlers/alert
wbind retry farm
wserve --once -q .
check 'put back' 'sent: again' "$(tail -n 1 farm/messages)"
