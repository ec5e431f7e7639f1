//! The house rules that a machine can look after.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// The only files that may say `unsafe`, and why.
const UNSAFE: &[&str] = &[
    // The mapping of a woof.
    "libwoofstream/log/src/map.rs",
    // Channels are descriptors that the program was started with.
    "libwoofstream/core/src/chan/descriptor.rs",
    // The copy into a mapping and the futex that a woof is held against.
    "tests/bench/src/mapping.rs",
];

/// What a part of a crate may not name; which crate may name which, Cargo looks after. `wire` and what is below it knows nothing
/// above it, and so on upwards.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("core/src/error.rs", &["wire", "chan", "name", "content", "sys", "access", "attrs", "element"]),
    (
        "core/src/limits.rs",
        &["wire", "chan", "name", "content", "sys", "error", "access", "attrs", "element"],
    ),
    ("core/src/sys/", &["wire", "chan", "name", "content", "access", "attrs", "element"]),
    ("core/src/name", &["wire", "chan", "content", "access", "attrs", "element"]),
    ("core/src/content", &["wire", "chan", "name", "access", "attrs", "element"]),
    ("core/src/wire/", &["chan", "sys", "access", "attrs", "element"]),
    ("core/src/chan/", &["access", "attrs", "element"]),
    ("core/src/access/", &["wire", "chan", "content", "attrs", "element"]),
    ("log/src/", &["woof_core::wire", "woof_core::chan", "woof_core::access"]),
    (
        "net/src/keys/",
        &["net", "client", "woof_core::wire", "woof_core::chan", "woof_core::content", "woof_space"],
    ),
    // The protocol does no I/O, and of messages it knows errors alone.
    (
        "net/src/net/",
        &["keys", "client", "woof_core::chan", "woof_core::sys", "woof_core::access", "woof_space"],
    ),
    ("net/src/client/", &["woof_core::chan"]),
    ("host/src/server/", &["woof_net::client", "woof_core::chan"]),
    ("host/src/dispatch/", &["server", "woof_net", "woof_core::chan"]),
];

const MAX_LINES: usize = 700;

struct Source {
    /// The path from the root of the project, with `/`.
    name: String,
    text: String,
}

/// All files of the project with one of these endings, without what is built.
fn files(endings: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut dirs, mut found) = (vec![root.to_path_buf()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_symlink() || name == "target" || name == ".git" {
                continue;
            }
            if path.is_dir() {
                dirs.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(Source { text: fs::read_to_string(&path).unwrap(), name });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!found.is_empty());
    found
}

/// Fails with every place that a rule finds, `file:line: what`.
#[track_caller]
fn none(endings: &[&str], rule: impl Fn(&Source, &str) -> Option<String>) {
    let mut places = Vec::new();
    for source in files(endings) {
        for (index, line) in source.text.lines().enumerate() {
            if let Some(what) = rule(&source, line) {
                places.push(format!("{}:{}: {what}", source.name, index + 1));
            }
        }
    }
    assert!(places.is_empty(), "\n{}\n", places.join("\n"));
}

/// The code of a line, without a comment that takes up all of it.
fn code(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with("//") { "" } else { line }
}

/// Whether `word` stands in `text` as a word of its own.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    text.match_indices(word).any(|(at, _)| {
        let bytes = text.as_bytes();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !part_of_word(before) && !part_of_word(bytes.get(at + word.len()))
    })
}

#[test]
fn every_source_file_begins_with_what_it_is() {
    for source in files(&[".rs"]) {
        assert!(source.text.starts_with("//!"), "{}: does not begin with //!", source.name);
    }
}

#[test]
fn files_stay_small() {
    for source in files(&[".rs", ".sh", "Makefile", ".toml"]) {
        let lines = source.text.lines().count();
        assert!(lines <= MAX_LINES, "{}: {lines} lines, the most is {MAX_LINES}", source.name);
    }
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    // Put together here, so that this file does not find itself.
    let words =
        [["to", "do!"], ["unimple", "mented!"], ["db", "g!"], ["#[igno", "re"]].map(|word| word.concat());
    none(&[".rs"], |_, line| words.iter().find(|word| code(line).contains(word.as_str())).cloned());
}

#[test]
fn unsafe_code_stays_in_its_files() {
    let word = ["uns", "afe"].concat();
    none(&[".rs"], |source, line| {
        let found = has_word(code(line), &word) && source.name != "tests/tidy.rs";
        (found && !UNSAFE.contains(&source.name.as_str())).then(|| word.clone())
    });
}

#[test]
fn lines_have_no_tabs_and_no_blanks_at_their_end() {
    none(&[".rs", ".md", ".toml", ".sh", ".1", ".7"], |_, line| {
        if line.contains('\t') {
            Some("tab".to_owned())
        } else if line.ends_with([' ', '\r']) {
            Some("blank at the end".to_owned())
        } else {
            None
        }
    });
}

#[test]
fn imports_go_one_way() {
    none(&[".rs"], |source, line| {
        let place = source.name.strip_prefix("libwoofstream/")?;
        let (part, forbidden) = FORBIDDEN.iter().find(|(part, _)| place.starts_with(part))?;
        let line = code(line);
        forbidden
            .iter()
            .map(
                |other| if other.contains("woof_") { (*other).to_owned() } else { format!("crate::{other}") },
            )
            .find(|other| line.contains(&format!("{other}::")) || line.contains(&format!("{other};")))
            .map(|other| format!("{part} knows {other}"))
    });
}

#[test]
fn each_part_whose_imports_are_looked_at_is_there() {
    let files = files(&[".rs"]);
    for (part, _) in FORBIDDEN {
        let place = format!("libwoofstream/{part}");
        assert!(files.iter().any(|source| source.name.starts_with(&place)), "{part}");
    }
}

#[test]
fn the_library_never_prints_exits_or_reads_arguments() {
    const WORDS: [&str; 5] = ["println!", "eprintln!", "process::exit", "env::args", "env::var"];
    none(&[".rs"], |source, line| {
        let inside = source.name.starts_with("libwoofstream/") && !source.name.contains("test");
        WORDS.iter().find(|word| inside && code(line).contains(*word)).map(|word| (*word).to_owned())
    });
}

#[test]
fn nothing_names_a_place_on_somebodys_machine() {
    let places =
        [["/ho", "me/"], ["/Us", "ers/"], ["/ro", "ot/"], ["/wo", "rk/"]].map(|place| place.concat());
    none(&[".rs", ".md", ".toml", ".sh", ".1", ".7", "Makefile", "run"], |_, line| {
        places.iter().find(|place| line.contains(place.as_str())).cloned()
    });
}

#[test]
fn tests_start_programs_wait_for_them_and_are_skipped_as_the_kit_does_it() {
    // Put together here, so that this file does not find itself.
    let words = [
        ["Command:", ":new("],
        [".wait()", ".unwrap()"],
        [".output()", ".unwrap()"],
        [".status()", ".unwrap()"],
        ["wait_with", "_output("],
        ["tempfile::", "tempdir("],
        ["SKIP", "PED"],
    ]
    .map(|word| word.concat());
    // The kit itself, what is no test, and what is built without the kit.
    let others = ["tests/kit/", "tests/bench/", "tests/link/src/", "tests/fuzz/"];
    none(&[".rs"], |source, line| {
        let is_test = source.name.starts_with("tests/")
            || (source.name.starts_with("libwoofstream/") && source.name.contains("/tests/"));
        if !is_test || others.iter().any(|other| source.name.starts_with(other)) {
            return None;
        }
        words.iter().find(|word| code(line).contains(word.as_str())).cloned()
    });
}
