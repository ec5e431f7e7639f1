//! Where `/proc` is hidden: commands say that, and not that what they were to work on is not there.

use crate::support::Sandbox;
use crate::woofs::with_mounts;

#[test]
fn without_proc_it_is_said_that_proc_is_missing() {
    let sandbox = Sandbox::new();
    sandbox
        .sh("wcreate -p ns/x && seq 3 | wput -q ns/x > /dev/null && printf '#!/bin/sh\\ncat\\n' > ns/handlers/h && chmod +x ns/handlers/h")
        .done();
    let commands = [
        "wget ns/x ..",
        "wput ns/x 5",
        "wput --create ns/y 5",
        "wcreate ns/z",
        "wcreate --reset ns/x",
        "wstat ns/x",
        "wfind ns",
        "wtail --no-follow ns/x",
        "wrm ns/x",
        "wbind ns/x h",
        "wrun --at ns h < /dev/null",
        "wget woof://$PWD/ns/x",
        "wput woof://$PWD/ns/x 5",
        "wfind woof://$PWD/ns",
    ];
    let ran: String =
        commands.map(|command| format!("{command} 2>&1 | tr -d '\\0'; echo; echo ----;")).concat();
    let script = format!(
        "mount -t tmpfs none /proc && {{ wserve ns 2> log & server=$!; \
         for n in $(seq 200); do [ -S ns/.woof/server.sock ] && break; sleep 0.05; done; {ran} kill $server; wait $server; }}"
    );
    let Some(ran) = with_mounts(&sandbox, "to hide /proc", &script) else { return };
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let answers: Vec<&str> = text.split("----\n").collect();
    assert_eq!(answers.len(), commands.len() + 1, "{text}");
    for (command, said) in commands.iter().zip(answers) {
        assert!(said.contains("/proc") && said.contains("is to be mounted"), "{command}: {said}");
        assert!(!said.contains("no such"), "{command}: {said}");
    }
    assert_eq!(sandbox.sh("wget ns/x .. -u; ls ns").done(), "1\n2\n3\nhandlers\nx\n");
}
