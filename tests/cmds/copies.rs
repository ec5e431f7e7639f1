//! Woofs that are copied, moved and put back as files are: what held their elements comes along.

use crate::server::{Serving, local, ready, tell};
use crate::support::{Ran, Sandbox};

/// Runs a script in which nobody wants to know the numbers of what is put.
fn sh(sandbox: &Sandbox, script: &str) -> Ran {
    sandbox.sh(&format!("wput() {{ command wput \"$@\" > /dev/null; }}; {script}"))
}

/// A namespace `ns` with the woof `w`, which keeps 10 elements, is bound to a handler and has `puts` elements.
fn bound(puts: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    let script = format!(
        "wcreate -p ns/w --history 10 && mkdir other && printf '#!/bin/sh\\ncat >> seen\\n' > ns/handlers/h && \
         chmod +x ns/handlers/h && wbind ns/w h && seq {puts} | wput ns/w -q"
    );
    sh(&sandbox, &script).done();
    sandbox
}

const FULL: &str = "woof is full of elements whose handlers are not done: the oldest is 1";

#[test]
fn a_copy_without_bindings_takes_puts() {
    for copied in [
        "cp ns/w COPY",
        "cp -a ns/w COPY",
        "cp --sparse=always ns/w COPY",
        "tar c ns/w | tar x --to-stdout > COPY",
        "cat ns/w > COPY",
    ] {
        let sandbox = bound(5);
        sh(&sandbox, "wcreate --namespace two && mkdir -p ns/sub").done();
        for place in ["other/w", "ns/w2", "ns/sub/w", "two/w"] {
            sh(&sandbox, &copied.replace("COPY", place)).done();
            assert_eq!(sh(&sandbox, &format!("seq 30 | wput -q {place}")).done(), "", "{copied} {place}");
            assert_eq!(
                sh(&sandbox, &format!("wget {place} -u; wstat {place} | grep -c held")).text(),
                "30\n0\n"
            );
        }
        // The one that is bound still holds.
        let ran = sh(&sandbox, "seq 30 | wput -q ns/w");
        assert_eq!((ran.status, ran.stderr), (2, format!("wput: ns/w: {FULL}\n")));
    }
}

#[test]
fn a_woof_that_was_moved_into_another_namespace_takes_puts() {
    let sandbox = bound(5);
    sh(&sandbox, "wcreate --namespace two && mv ns/w two/w && seq 30 | wput -q two/w").done();
    assert_eq!(sh(&sandbox, "wget two/w -u").done(), "30\n");
}

#[test]
fn elements_that_may_be_held_out_of_sight_stay_until_they_are_let_go() {
    // The same file by another path may be one that is mounted from its namespace; a second name may be in any.
    for (moved, name) in [("mv ns/w other/m", "other/m"), ("ln ns/w other/hard && mv ns two", "other/hard")] {
        let sandbox = bound(5);
        sh(&sandbox, moved).done();
        let ran = sh(&sandbox, &format!("seq 30 | wput -q {name}"));
        let advice = format!("no handler is bound to it here (wbind remove {name} lets go of them)");
        assert_eq!((ran.status, ran.stderr), (2, format!("wput: {name}: {FULL}; {advice}\n")));
        let held = format!(
            "held      from 1 on, though no handler is bound to it (wbind remove {name} lets go of them)"
        );
        assert!(sh(&sandbox, &format!("wstat {name}")).done().contains(&held));
        sh(
            &sandbox,
            &format!("wbind remove {name} && seq 30 | wput -q {name} && ! wstat {name} | grep held"),
        )
        .done();
    }
}

#[test]
fn a_binding_by_another_name_of_the_woof_holds_its_elements() {
    let sandbox = bound(0);
    sh(&sandbox, "ln -s w ns/alias && wcreate ns/v --history 10 && ln -s v ns/other && ln ns/v ns/hard && wbind ns/v h")
        .done();
    for name in ["ns/alias", "ns/v", "ns/other", "ns/hard", "./ns/../ns/w"] {
        let ran = sh(&sandbox, &format!("seq 30 | wput -q {name}"));
        assert_eq!((ran.status, ran.stderr), (2, format!("wput: {name}: {FULL}\n")));
    }
    // A link is not bound, nor is the binding of what it leads to removed by it.
    assert_eq!(sh(&sandbox, "wbind ns/other h").status, 2);
    assert_eq!(sh(&sandbox, "wbind remove ns/w && wput ns/w more").status, 0);
    assert_eq!(sh(&sandbox, "wput ns/v more").status, 2);
}

#[test]
fn a_namespace_that_is_copied_whole_holds_and_runs_its_handlers() {
    let sandbox = bound(5);
    sh(&sandbox, "cp -a ns copy && rm -r ns").done();
    let ran = sh(&sandbox, "seq 30 | wput -q copy/w");
    assert_eq!((ran.status, ran.stderr), (2, format!("wput: copy/w: {FULL}\n")));
    sh(&sandbox, "wserve --once copy 2>log").done();
    assert_eq!(sh(&sandbox, "sort -n copy/seen | tr '\\n' ' '").done(), "1 1 2 2 3 3 4 4 5 5 ", "five twice");
    sh(&sandbox, "wput copy/w -q more && wserve --once copy 2>log && grep more copy/seen").done();
}

#[test]
fn a_backup_that_is_put_back_still_runs_its_handlers() {
    let sandbox = bound(3);
    sh(&sandbox, "cp ns/w backup && seq 4 6 | wput -q ns/w && mv backup ns/w && wput ns/w -q new").done();
    sh(&sandbox, "wserve --once ns 2>log").done();
    assert_eq!(sh(&sandbox, "cat ns/seen | sort | tr '\\n' ' '").done(), "1 2 3 new ");
}

#[test]
fn a_server_lets_go_of_what_nobody_holds() {
    let sandbox = ready();
    let script = "wcreate -p srv/ns/w --history 10 && printf '#!/bin/sh\nexit 1\n' > srv/ns/handlers/h && \
                  chmod +x srv/ns/handlers/h && wbind srv/ns/w h --named && cp srv/ns/w srv/ns/w2";
    sh(&sandbox, script).done();
    let _serving = Serving::start(&sandbox, &[]);
    let numbers: String = (0..30).map(|number| format!("{number}\n")).collect();
    let copy = local(&sandbox, "ns/w2");
    assert_eq!(tell(&sandbox, &["wput", "-q", &copy], numbers.as_bytes()).done(), "");
    assert_eq!(sh(&sandbox, "wget srv/ns/w2 -u; wstat srv/ns/w2 | grep -c held").text(), "29\n0\n");
}
