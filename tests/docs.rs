//! What is written down and made by hand stays the same as what the program says: man pages.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|err| panic!("{}: {err}", dir.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_man_pages_are_what_the_binary_writes() {
    let fresh = woof_kit::tempdir().unwrap();
    let run =
        woof_kit::output(woof_kit::command(env!("CARGO_BIN_EXE_woof")).arg("--man-pages").arg(fresh.path()));
    assert!(run.status.success(), "{run:?}");
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/man1");
    assert_eq!(names(&committed), names(fresh.path()), "pages missing or left over: run make man");
    for name in names(fresh.path()) {
        let [is, should] =
            [committed.join(&name), fresh.path().join(&name)].map(|path| fs::read_to_string(path).unwrap());
        assert!(is == should, "man/man1/{name} is stale: run make man");
    }
}

#[test]
fn every_man_page_has_its_sections() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in names(&root.join("man/man1")) {
        let page = fs::read_to_string(root.join("man/man1").join(&name)).unwrap();
        let mut rest = page.as_str();
        for section in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "\"EXIT STATUS\"", "\"SEE ALSO\""]
        {
            let heading = format!("\n.SH {section}\n");
            let at = rest.find(&heading).unwrap_or_else(|| panic!("{name}: no {section} in its place"));
            rest = &rest[at + heading.len()..];
            assert!(!rest.starts_with(".SH"), "{name}: nothing under {section}");
        }
    }
}
