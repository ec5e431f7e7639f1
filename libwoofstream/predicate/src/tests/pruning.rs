//! Where a walk may turn back.

use super::*;

fn below(text: &str, path: &str, depth: u64) -> bool {
    let attrs =
        [("path", AttrRef::Text(path)), ("name", AttrRef::Text("src")), ("type", AttrRef::Text("dir"))];
    let subject = Subject { attrs: Some(&Attrs(&attrs)), depth: Some(depth), ..Subject::default() };
    Predicate::compile(text).unwrap().below(&subject)
}

#[test]
fn depth_prunes_whatever_the_order_of_the_terms() {
    for text in [
        "depth <= 2 && name == 'x'",
        "name == 'x' && depth <= 2",
        "!(depth > 2) && name == 'x'",
        "2 >= depth",
        "depth < 2.5",
    ] {
        assert!(below(text, "src", 1), "{text}");
        assert!(!below(text, "src", 2), "{text}");
        assert!(!below(text, "src", 3), "{text}");
    }
    assert!(below("depth == 3", "src", 2) && !below("depth == 3", "src", 3));
    assert!(below("depth > 3", "src", 9) && below("depth != 3", "src", 9));
    assert!(!below("!(depth >= 1)", "src", 0) && below("!(depth >= 2)", "src", 0));
    assert!(!below("!(depth != 1)", "src", 1) && below("!(depth != 2)", "src", 1));
}

#[test]
fn nothing_is_pruned_where_another_term_could_match() {
    assert!(below("depth <= 2 || name == 'x'", "src", 7));
    assert!(below("name == 'src'", "src", 7));
    assert!(below("!(depth <= 2 && name == 'x')", "src", 7));
    assert!(below("json.a > 3 && depth <= 9", "src", 7));
    assert!(!below("false && name == 'x'", "src", 0) && below("true", "src", 0));
    assert!(below("name == 'x' ? depth <= 1 : depth <= 9", "src", 5));
    assert!(!below("name == 'x' ? depth <= 1 : depth <= 2", "src", 5));
    assert!(!below("depth in [1, 2]", "src", 2) && below("depth in [1, 2, 9]", "src", 2));
}

#[test]
fn paths_prune_what_lies_aside() {
    for text in ["path.startsWith('src/log/')", "path == 'src/log/map.rs'", "path.glob('src/log/*')"] {
        assert!(below(text, "src", 0), "{text}");
        assert!(below(text, "src/log", 1), "{text}");
        assert!(!below(text, "src/wire", 1), "{text}");
        assert!(!below(text, "src/logs", 1), "{text}");
        assert!(!below(text, "doc", 0), "{text}");
        assert!(below(text, ".", 0) && below(text, "", 0), "{text}");
    }
    assert!(below("path.startsWith('src/log/')", "src/log/deep", 2));
    assert!(below("path.startsWith('sr')", "src", 0));
    assert!(!below("path == 'src'", "src", 0));
    assert!(!below("!path.startsWith('src/')", "src", 0) && below("!path.startsWith('src/')", "doc", 0));
    assert!(below("path != 'src/a'", "src", 0));
}

#[test]
fn an_unknown_depth_or_path_prunes_nothing() {
    let nothing = Subject::default();
    assert!(Predicate::compile("depth <= 2").unwrap().below(&nothing));
    assert!(Predicate::compile("path.startsWith('a')").unwrap().below(&nothing));
}
