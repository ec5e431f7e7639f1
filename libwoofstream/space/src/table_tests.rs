//! Tests of the name table.

use super::*;
use Target::{Local, Remote};

const TEXT: &str = "# what is where\n\
    edge woof://edge7/greenhouse\n\
    edge/deep /srv/deep   # nearer\n\
    \n\
    all /srv/a/ woof://hub:99/a \"/srv/old woofs\"\n\
    hub woof://hub\n\
    \"my farm\" \"/srv/my \\\"farm\\\"\"\n";

fn at(name: &str) -> Vec<String> {
    let resolved = Table::parse(TEXT).unwrap().resolve(name).unwrap();
    let shown = resolved.targets.iter().map(|target| match target {
        Local(path) => path.clone(),
        Remote(address) => address.to_string(),
    });
    shown.collect()
}

fn refusal(text: &str) -> String {
    Table::parse(text).unwrap_err().to_string()
}

#[test]
fn the_longest_prefix_wins_on_whole_parts() {
    assert_eq!(at("edge/temp"), ["woof://edge7/greenhouse/temp"]);
    assert_eq!(at("edge"), ["woof://edge7/greenhouse"]);
    assert_eq!(at("edge/deep"), ["/srv/deep"]);
    assert_eq!(at("edge/deep/x/y"), ["/srv/deep/x/y"]);
    assert_eq!(at("edge/deeper"), ["woof://edge7/greenhouse/deeper"]);
    assert_eq!(at("edges/temp"), ["edges/temp"]);
    assert_eq!(at("hub/farm/temp"), ["woof://hub/farm/temp"]);
    assert_eq!(at("my farm/x y"), ["/srv/my \"farm\"/x y"]);
    assert_eq!(Table::parse(TEXT).unwrap().resolve("edge/deep/x").unwrap().prefix.unwrap(), "edge/deep");
}

#[test]
fn several_targets_are_a_union_in_their_order() {
    assert_eq!(at("all/x"), ["/srv/a/x", "woof://hub:99/a/x", "/srv/old woofs/x"]);
}

#[test]
fn plain_paths_and_addresses_never_ask_the_table() {
    for name in ["/edge/temp", "./edge/temp", "../edge/temp", ".", "..", "woof://edge/temp"] {
        assert_eq!(at(name), [name]);
        assert!(!asks_table(name).unwrap());
    }
    assert!(asks_table(".edge").unwrap());
}

#[test]
fn what_a_prefix_stands_for_is_not_looked_up_again() {
    let table = Table::parse("a /b\nb /a\nwoof woof://woof/a").unwrap();
    assert_eq!(table.resolve("a/x").unwrap().targets, [Local("/b/x".to_owned())]);
    let Remote(address) = &table.resolve("woof/x").unwrap().targets[0] else { unreachable!() };
    assert_eq!(address.to_string(), "woof://woof/a/x");
}

#[test]
fn a_name_does_not_climb_out_of_its_prefix() {
    let table = Table::parse(TEXT).unwrap();
    for name in ["edge/../x", "edge/deep/..", "all/x/../../y"] {
        let err = table.resolve(name).unwrap_err();
        assert_eq!(
            err.to_string(),
            format!("{name}: \"..\" does not go together with a prefix of the name table")
        );
    }
    let Target::Remote(hub) = &table.resolve("hub").unwrap().targets[0] else { panic!("hub is local") };
    assert_eq!(hub.to_string(), "woof://hub");
}

#[test]
fn what_is_no_table_is_refused_with_its_line() {
    for (text, refused) in [
        ("# x\nedge", "line 2: \"edge\" has no target"),
        ("edge /a\n\nedge /b", "line 3: \"edge\" stands on line 1 already"),
        ("edge farm", "line 1: target \"farm\": a target is an absolute path or begins with woof://"),
        ("edge woof://h:0/x", "line 1: target \"woof://h:0/x\": \"0\" is no port: 1 to 65535"),
        ("edge woof://h/../x", "line 1: target \"woof://h/../x\": \"..\" leads nowhere at a server"),
        ("/edge /a", "line 1: \"/edge\" is no prefix: it is an absolute path"),
        ("woof://h/x /a", "line 1: \"woof://h/x\" is no prefix: it is an address"),
        ("@left /a", "line 1: \"@left\" is no prefix: names that begin so are channels and flags"),
        ("edge/ /a", "line 1: \"edge/\" is no prefix: a part of it is empty"),
        ("../edge /a", "line 1: \"../edge\" is no prefix: it has \".\" or \"..\" in it"),
        ("\"edge /a", "line 1: a quote is not closed"),
        ("ed\"ge /a", "line 1: ed\"ge: a quote in the middle"),
        ("\"edge\"/a", "line 1: \"edge\": something follows its quote"),
        ("\"ed\\ge\" /a", "line 1: a backslash in quotes stands before a quote or a backslash"),
    ] {
        assert_eq!(refusal(text), refused);
    }
    assert!(refusal(&format!("a {}", "/x ".repeat(65))).contains("has 65 targets, the limit is 64"));
    assert_eq!(refusal(&"#".repeat((1 << 20) + 1)), "name table is 1048577 bytes, the limit is 1048576");
}

#[test]
fn setting_and_unsetting_keep_all_other_lines() {
    let one = |target: &str| vec![target.to_owned()];
    assert_eq!(set("", "edge", &one("/a")).unwrap(), "edge /a\n");
    assert_eq!(
        set("# top\nedge /a # why\nb /b", "edge", &[one("/c d"), one("woof://h")].concat()).unwrap(),
        "# top\nedge \"/c d\" woof://h  # why\nb /b\n"
    );
    assert_eq!(
        set("\"my # farm\" \"/a \\\\\" # a # b\n", "my # farm", &one("/b")).unwrap(),
        "\"my # farm\" /b  # a # b\n"
    );
    assert_eq!(unset("# top\nedge /a\n\nb /b\n", "edge").unwrap().unwrap(), "# top\n\nb /b\n");
    assert_eq!(unset("# top\n", "edge").unwrap(), None);
    assert_eq!(set("", "edge", &one("farm")).unwrap_err().code(), Code::Invalid);
    assert_eq!(
        set("broken", "edge", &one("/a")).unwrap_err().to_string(),
        "line 1: \"broken\" has no target"
    );
}
