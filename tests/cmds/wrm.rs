//! `wrm`.

use crate::support::Sandbox;
use crate::woofs::refuses_what_is_no_woof;

#[test]
fn woofs_are_removed_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate a b c; echo x > text").done();
    let ran = sandbox.run("wrm", &["-v", "a", "text", "none", "b"], b"");
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (1, "wrm: a: removed\nwrm: text: not a woof\nwrm: none: no such woof\nwrm: b: removed\n")
    );
    assert_eq!(sandbox.sh("ls").done(), "c\ntext\n");
    sandbox.run("wrm", &["-f", "a", "c"], b"").done();
    sandbox.run("wrm", &["-f", "a"], b"").done();
    assert_eq!(sandbox.run("wrm", &["-f", "text"], b"").status, 2);
    assert_eq!(sandbox.sh("ls").done(), "text\n");
}

#[test]
fn what_is_no_woof_is_refused() {
    refuses_what_is_no_woof(&Sandbox::new(), "wrm", &[]);
}

#[test]
fn a_name_is_free_again_and_its_numbers_start_anew() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("wcreate w; wput w a b > acks; wrm w; wcreate w; wput w c | wcat");
    assert_eq!(ran.done(), "w 1\n");
}
