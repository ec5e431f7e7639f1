//! Woofs and namespaces by name: making, looking, finding, removing, and who may do that.

use crate::each;
use libwoofstream::content::ContentType;
use libwoofstream::error::Code;
use libwoofstream::log::Options;
use libwoofstream::predicate::Predicate;
use libwoofstream::space::{Collected, Create, Selection};

#[test]
fn every_verb_on_what_is_not_there_says_so_by_the_name_that_was_typed() {
    each(|engine| {
        let space = engine.space();
        let name = engine.name("nosuch");
        let errors = [
            space.stat(&name).err(),
            space.remove(&name).err(),
            space.reset_clock(&name).err(),
            space.read(&name, &Selection::default(), &mut Collected::default()).err(),
            space.find(&name, None, false, &mut Collected::default()).err(),
        ];
        for (number, err) in errors.into_iter().enumerate() {
            let err = err.unwrap_or_else(|| panic!("verb {number}"));
            assert_eq!((err.code(), err.object()), (Code::NotFound, &*name), "verb {number}: {err}");
        }
    });
}

#[test]
fn a_woof_is_made_once_replaced_when_asked_and_with_its_namespace_where_that_is_missing() {
    each(|engine| {
        let space = engine.space();
        let name = engine.woof("w", ContentType::F64, 7);
        let create = Create { options: Options { history: 9, ..Options::default() }, ..Create::default() };
        let err = space.create(&name, &create).unwrap_err();
        assert_eq!((err.code(), err.object()), (Code::Exists, &*name), "{err}");
        assert_eq!(space.stat(&name).unwrap().uint("history"), Some(7));
        engine.put(&name, &["1"]);
        space.create(&name, &Create { reset: true, ..create.clone() }).unwrap();
        let dir = space.stat(&name).unwrap();
        assert_eq!(
            (dir.uint("history"), dir.uint("next_seqno"), dir.name("path")),
            (Some(9), Some(1), Some(name.as_bytes()))
        );
        let deep = engine.name("a/b/w");
        let err = space.create(&deep, &create).unwrap_err();
        assert_eq!((err.code(), err.object()), (Code::NotFound, &*deep), "{err}");
        space.create(&deep, &Create { parents: true, ..create }).unwrap();
        assert_eq!(space.stat(&deep).unwrap().text("name"), Some("w"));
        let wrong = Create { options: Options { history: 0, ..Options::default() }, ..Create::default() };
        let err = space.create(&engine.name("none"), &wrong).unwrap_err();
        assert_eq!((err.code(), err.object()), (Code::Invalid, &*engine.name("none")), "{err}");
    });
}

#[test]
fn woofs_and_namespaces_are_found_in_the_order_of_their_names_by_a_predicate_and_with_their_elements() {
    each(|engine| {
        let space = engine.space();
        for (woof, texts) in [("b", &["1", "2"][..]), ("a", &["3"]), ("c", &[])] {
            let name = engine.woof(woof, ContentType::I64, 10);
            engine.put(&name, texts);
        }
        let found = |text: &str, get| {
            let predicate = Predicate::compile(text).unwrap();
            let mut collected = Collected::default();
            space.find(&engine.farm(), Some(&predicate), get, &mut collected).unwrap();
            collected
        };
        let names = |names: &[&str]| names.iter().map(|name| engine.name(name)).collect::<Vec<_>>();
        assert_eq!(found("type == 'woof'", false).paths(), names(&["a", "b", "c"]));
        assert_eq!(found("elements > 0 && history == 10", false).paths(), names(&["a", "b"]));
        assert_eq!(found("type == 'namespace'", false).paths(), [engine.farm()]);
        let got = found("name != 'a' && type == 'woof'", true);
        assert_eq!((got.seqnos(), got.paths()), (vec![1, 2], names(&["b", "c"])));
    });
}

#[test]
fn a_woof_that_is_removed_is_gone() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 10);
        engine.put(&name, &["1"]);
        engine.space().remove(&name).unwrap();
        assert!(!engine.path("w").exists());
        assert_eq!(engine.space().stat(&name).unwrap_err().code(), Code::NotFound);
    });
}

#[test]
fn a_namespace_that_is_there_already_stays_as_it_is() {
    each(|engine| {
        let space = engine.space();
        engine.woof("w", ContentType::Text, 10);
        space.create_namespace(&engine.farm()).unwrap();
        assert!(space.stat(&engine.name("w")).is_ok());
        space.create_namespace(&engine.name("new")).unwrap();
        assert!(engine.path("new/.woof").is_dir() && engine.path("new/handlers").is_dir());
    });
}

#[test]
fn rights_are_changed_one_at_a_time_and_told_back() {
    use libwoofstream::access::Change;
    each(|engine| {
        let space = engine.space();
        let before = space.access(&engine.farm()).unwrap();
        let change = Change::parse(["grant", "user", "bob", "read"]).unwrap();
        let after = space.set_access(&engine.farm(), &change).unwrap();
        assert_ne!(before, after);
        assert_eq!(space.access(&engine.farm()).unwrap(), after);
        assert!(std::fs::read_to_string(engine.path(".woof/access")).unwrap().contains("bob"));
    });
}

#[test]
fn a_clock_that_is_right_needs_no_reset() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 10);
        engine.put(&name, &["1"]);
        assert!(!engine.space().reset_clock(&name).unwrap());
        woof_kit::set_newest_time(&engine.path("w"), 5_680_281_600_000_000_000).unwrap();
        assert!(engine.space().reset_clock(&name).unwrap());
        assert!(!engine.space().reset_clock(&name).unwrap());
    });
}
