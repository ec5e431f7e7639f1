//! Reading: ranges, selections, follows, and what is told of elements that are gone or of a woof that is removed.

use crate::each;
use crate::engines::LIMIT;
use libwoofstream::content::ContentType;
use libwoofstream::error::Code;
use libwoofstream::predicate::Predicate;
use libwoofstream::space::{Collected, Each, Follow, MessageRef, Selection, SeqRange, Sink as _, Stop, Tee};
use std::sync::mpsc::channel;

fn range(text: &str) -> Selection {
    Selection { range: Some(SeqRange::parse(text).unwrap()), ..Selection::default() }
}

#[test]
fn ranges_select_by_seqno_and_what_is_not_there_is_an_error() {
    each(|engine| {
        let name = engine.woof("w", ContentType::I64, 5);
        engine.put(&name, &["1", "2", "3", "4", "5", "6", "7"]);
        let read = |selection: &Selection| {
            let mut collected = Collected::default();
            engine.space().read(&name, selection, &mut collected).map(|()| collected.seqnos())
        };
        for (text, expected) in [
            ("4", &[4][..]),
            ("4..5", &[4, 5]),
            ("6..", &[6, 7]),
            ("..", &[3, 4, 5, 6, 7]),
            ("-2..", &[6, 7]),
            ("2..4", &[3, 4]),
        ] {
            assert_eq!(read(&range(text)).unwrap(), expected, "{text}");
        }
        for text in ["1", "2", "8", "8..9"] {
            let err = read(&range(text)).unwrap_err();
            assert_eq!((err.code(), err.object()), (Code::NotFound, &*name), "{text}");
            assert!(err.text().ends_with("the oldest kept is 3, the newest 7"), "{err}");
        }
        let last = Selection { last: Some(2), ..Selection::default() };
        assert_eq!(read(&last).unwrap(), [6, 7]);
        let limit = Selection { limit: Some(2), ..Selection::default() };
        assert_eq!(read(&limit).unwrap(), [3, 4]);
        let predicate = Some(Predicate::compile("value % 2 == 0").unwrap());
        let even = Selection { predicate: predicate.clone(), ..Selection::default() };
        assert_eq!(read(&even).unwrap(), [4, 6]);
        let last_even = Selection { predicate, last: Some(1), ..Selection::default() };
        assert_eq!(read(&last_even).unwrap(), [6]);
    });
}

#[test]
fn a_read_begins_with_what_the_elements_are_and_says_how_far_it_looked() {
    each(|engine| {
        let name = engine.woof("w", ContentType::F64, 5);
        engine.put(&name, &["21.5", "21.7"]);
        let predicate = Some(Predicate::compile("value > 100").unwrap());
        let mut collected = Collected::default();
        let selection = Selection { predicate, ..Selection::default() };
        engine.space().read(&name, &selection, &mut collected).unwrap();
        assert_eq!((collected.paths(), collected.elements.len(), collected.seen), (vec![name.clone()], 0, 2));
        let dir = &collected.dirs[0];
        assert_eq!(
            (dir.text("content"), dir.text("type"), dir.text("name")),
            (Some("f64"), Some("woof"), Some("w"))
        );
    });
}

#[test]
fn times_select_what_was_put_between_them() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 10);
        let mut put = engine.space().put(&name, None).unwrap();
        let given = |time_ns| libwoofstream::log::Given { stamp: None, time_ns, data: &b"x"[..] };
        put.put_given(&mut [given(1_000), given(2_000), given(3_000)].into_iter(), &mut |_| {}).unwrap();
        put.settle(&mut |_| {}).unwrap();
        let selection = Selection { since_ns: Some(1_500), until_ns: Some(2_500), ..Selection::default() };
        let mut collected = Collected::default();
        engine.space().read(&name, &selection, &mut collected).unwrap();
        assert_eq!(collected.seqnos(), [2]);
    });
}

#[test]
fn a_follow_gives_what_is_there_says_so_and_goes_on_until_it_is_stopped() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 100);
        engine.put(&name, &["1", "2"]);
        let stop = Stop::default();
        let follow = Some(Follow { stop: stop.clone() });
        let (told, heard) = channel();
        std::thread::scope(|scope| {
            let following = scope.spawn(|| {
                let mut sink = Tee(
                    Collected::default(),
                    Each(move |message: MessageRef<'_>| {
                        match message {
                            MessageRef::Mark(name) => drop(told.send(name.to_owned())),
                            MessageRef::Elem { seqno, .. } => drop(told.send(seqno.to_string())),
                            _ => {}
                        }
                        Ok(())
                    }),
                );
                let selection = Selection { follow, ..range("..") };
                engine.space().read(&name, &selection, &mut sink).map(|()| sink.0)
            });
            let next = || heard.recv_timeout(LIMIT).unwrap();
            assert_eq!([next(), next(), next()], ["1", "2", "caught-up"]);
            engine.put(&name, &["3"]);
            assert_eq!(next(), "3");
            stop.stop();
            let collected = following.join().unwrap().unwrap();
            assert_eq!(
                (collected.texts(), collected.faults.len()),
                (vec!["1".into(), "2".into(), "3".into()], 0)
            );
        });
    });
}

#[test]
fn a_follow_ends_with_an_error_when_its_woof_is_removed() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 100);
        let (told, heard) = channel();
        std::thread::scope(|scope| {
            let following = scope.spawn(|| {
                let mut sink = Each(move |message: MessageRef<'_>| {
                    if let MessageRef::Mark(name) = message {
                        drop(told.send(name.to_owned()));
                    }
                    Ok(())
                });
                let selection = Selection { follow: Some(Follow::default()), ..Selection::default() };
                engine.space().read(&name, &selection, &mut sink)
            });
            assert_eq!(heard.recv_timeout(LIMIT).unwrap(), "caught-up");
            engine.space().remove(&name).unwrap();
            let err = following.join().unwrap().unwrap_err();
            assert_eq!(
                (err.code(), err.to_string()),
                (Code::Removed, format!("{name}: the woof was removed meanwhile"))
            );
        });
    });
}

#[test]
fn the_error_of_a_sink_ends_a_read_and_is_the_error_of_it() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 100);
        engine.put(&name, &["1", "2", "3"]);
        let mut seen = 0;
        let mut sink = Each(|message: MessageRef<'_>| match message {
            MessageRef::Elem { .. } if seen == 1 => {
                Err(libwoofstream::error::Error::new(Code::Full, "out", "no more"))
            }
            MessageRef::Elem { .. } => {
                seen += 1;
                Ok(())
            }
            _ => Ok(()),
        });
        let err = engine.space().read(&name, &Selection::default(), &mut sink).unwrap_err();
        assert!(!sink.is_full());
        assert_eq!((err.to_string(), seen), ("out: no more".to_owned(), 1));
    });
}

#[test]
fn a_read_that_goes_on_tells_what_is_gone_and_is_no_error() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 2);
        engine.put(&name, &["1", "2", "3", "4"]);
        let mut collected = Collected::default();
        let selection = Selection { resumed: true, ..range("1..4") };
        engine.space().read(&name, &selection, &mut collected).unwrap();
        assert_eq!(collected.seqnos(), [3, 4]);
        let faults: Vec<String> = collected.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, [format!("{name}: elements 1 to 2 are gone: overwritten before they were read")]);
    });
}
