//! Tests of handlers that need no processes: bindings and their file, what is left of queues.

use super::bindings::{self, Binding, Bindings};
use crate::log::{self, Mark, Options};
use std::path::{Path, PathBuf};

/// A namespace with a woof `temp`.
fn namespace(options: &Options) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("farm");
    std::fs::create_dir_all(path.join(".woof")).unwrap();
    log::create(&path.join("temp"), options).unwrap();
    (dir, path)
}

fn held(namespace: &Path) -> Option<u64> {
    log::open(&namespace.join("temp")).unwrap().held()
}

#[test]
fn bindings_are_kept_with_their_options_and_hold_their_elements() {
    let (_dir, farm) = namespace(&Options::default());
    log::open(&farm.join("temp")).unwrap().appender().unwrap().append(b"before").unwrap();
    let asked = Binding {
        filter: Some("value > 70".into()),
        group: Some("g".into()),
        ..Binding::new("temp", "alarm.sh")
    };
    let added = bindings::add(&farm, &asked, None).unwrap();
    assert_eq!((added.id, added.from, held(&farm)), (1, 2, Some(2)));
    let err = bindings::add(&farm, &asked, None).unwrap_err();
    assert_eq!(err.to_string(), "temp: alarm.sh is bound to it already (wbind remove ends that)");
    // One that begins earlier holds more.
    assert_eq!(bindings::add(&farm, &Binding::new("temp", "all.sh"), Some(1)).unwrap().from, 1);
    assert_eq!(held(&farm), Some(1));
    let read = Bindings::load(&farm).unwrap();
    assert_eq!((read.next, read.list.len(), &read.list[0]), (3, 2, &added));
    assert_eq!(bindings::pause(&farm, "temp", None, true).unwrap(), 2);
    assert!(Bindings::load(&farm).unwrap().list.iter().all(|binding| binding.paused));
    assert_eq!(bindings::remove(&farm, "temp", Some("alarm.sh")).unwrap(), 1);
    assert_eq!(held(&farm), Some(1));
    assert_eq!(bindings::remove(&farm, "temp", None).unwrap(), 1);
    assert_eq!(held(&farm), None);
    assert_eq!(
        bindings::remove(&farm, "temp", None).unwrap_err().to_string(),
        "temp: no handler is bound to it"
    );
    assert_eq!(Bindings::load(&farm).unwrap().next, 3, "ids are not used twice");
}

#[test]
fn what_can_be_no_handler_or_no_binding_is_refused() {
    let (_dir, farm) = namespace(&Options::default());
    let refusal = |binding: Binding| bindings::add(&farm, &binding, None).unwrap_err().to_string();
    for name in ["../outside.sh", "/bin/sh", "a/b"] {
        let text = refusal(Binding::new("temp", name));
        assert!(
            text.ends_with("a handler is a file in the directory handlers: its name has no \"/\""),
            "{text}"
        );
    }
    assert_eq!(
        refusal(Binding::new("temp", &"x".repeat(300))),
        "the name of a handler is 300 bytes long, the limit is 255"
    );
    assert!(refusal(Binding::new("temp", "..")).contains("not the name of a handler"));
    assert!(refusal(Binding::new("../temp", "a.sh")).contains("not the name of a woof in this namespace"));
    assert_eq!(refusal(Binding::new("none", "a.sh")), "none: no such woof");
    let typed = Binding { filter: Some("value > 'x'".into()), ..Binding::new("temp", "a.sh") };
    assert_eq!(refusal(typed), "expression:9: expected a number, found a string");
    assert_eq!(held(&farm), None, "nothing is held for what was refused");
}

#[test]
fn a_handler_that_is_named_has_one_number_and_at_most_seven_have_one() {
    let (_dir, farm) = namespace(&Options::default());
    let one = bindings::named(&farm, "temp", "one.sh").unwrap();
    assert_eq!(bindings::named(&farm, "temp", "one.sh").unwrap(), one);
    let mut numbers = vec![one];
    for name in 2..=7 {
        numbers.push(bindings::named(&farm, "temp", &format!("{name}.sh")).unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, Mark::HANDLER_MAX]);
    assert_eq!(
        bindings::named(&farm, "temp", "8.sh").unwrap_err().to_string(),
        "temp: 7 handlers are named in puts of this woof already, the limit (wbind removes them)"
    );
    bindings::remove(&farm, "temp", Some("one.sh")).unwrap();
    assert_eq!(bindings::named(&farm, "temp", "8.sh").unwrap(), one);
}

#[test]
fn bindings_that_are_not_understood_are_refused_with_their_line_and_stay() {
    let (_dir, farm) = namespace(&Options::default());
    let file = farm.join(".woof/bindings");
    let head = r#"{"woofstream":"bindings","version":1,"next":2}"#;
    for (text, expected) in [
        ("{}", "line 1: missing field"),
        (r#"{"woofstream":"bindings","version":9,"next":2}"#, "not bindings of version 1"),
        (
            &format!("{head}\n\n{{\"id\":1,\"woof\":\"temp\",\"handler\":\"a/b\",\"from\":1,\"made\":1}}"),
            "line 3: \"a/b\"",
        ),
        (
            &format!(
                "{head}\n{{\"id\":1,\"woof\":\"temp\",\"handler\":\"a\",\"from\":1,\"made\":1,\"x\":1}}"
            ),
            "line 2: unknown field",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let err = bindings::add(&farm, &Binding::new("temp", "a.sh"), None).unwrap_err();
        assert!(err.text().starts_with(expected), "{err}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}
