//! Putting: what becomes of data of every content type, what is refused, and what is told of it.

use crate::each;
use crate::engines::{Engine, put_all};
use libwoofstream::content::ContentType;
use libwoofstream::error::Code;
use libwoofstream::log::{Given, Options, Run, Stamp};
use libwoofstream::space::{Collected, Create, Selection, Told, Trigger};

/// All of a woof.
fn all(engine: &Engine, name: &str) -> Collected {
    let mut collected = Collected::default();
    engine.space().read(name, &Selection::default(), &mut collected).unwrap();
    collected
}

fn count(told: &[Told]) -> (u64, Vec<u64>) {
    let mut refused = Vec::new();
    let mut done = 0;
    for what in told {
        match what {
            Told::In(run) => done += run.count,
            Told::Again(_) => done += 1,
            Told::Refused(number, _) => refused.push(*number),
        }
    }
    (done, refused)
}

#[test]
fn text_is_made_into_elements_of_every_type_and_what_cannot_be_is_refused_by_number() {
    each(|engine| {
        for (content, texts, good, refused) in [
            (ContentType::Text, &["21.5", "warm", ""][..], &["21.5", "warm", ""][..], &[][..]),
            (ContentType::Bytes, &["21.5", "warm"], &["21.5", "warm"], &[]),
            (ContentType::F64, &["21.5", "warm", "1e3", "1e400"], &["21.5", "1000"], &[2, 4]),
            (ContentType::I64, &["7", "7.5", "-9223372036854775808"], &["7", "-9223372036854775808"], &[2]),
            (ContentType::Json, &["{\"a\":1}", "{", "[]"], &["{\"a\":1}", "[]"], &[2]),
        ] {
            let name = engine.woof(content.as_str(), content, 100);
            let told = engine.put(&name, texts);
            assert_eq!(count(&told), (good.len() as u64, refused.to_vec()), "{content:?} {told:?}");
            let all = all(engine, &name);
            let shown: Vec<String> = all
                .elements
                .iter()
                .map(|element| {
                    let mut text = Vec::new();
                    content.write_text(&element.data, &mut text);
                    String::from_utf8(text).unwrap()
                })
                .collect();
            assert_eq!(shown, good, "{content:?}");
            assert_eq!(all.dirs[0].text("content"), Some(content.as_str()));
            assert!(
                all.elements.iter().all(|element| content != ContentType::F64 || element.data.len() == 8)
            );
        }
    });
}

#[test]
fn what_is_said_to_be_elements_already_is_put_as_it_is() {
    each(|engine| {
        let name = engine.woof("n", ContentType::F64, 100);
        let mut put = engine.space().put(&name, None).unwrap();
        put.data_is(ContentType::F64);
        let mut told = Vec::new();
        let value = 21.5f64.to_le_bytes();
        put.put(&mut [&value[..]].into_iter(), &mut |what| told.push(what)).unwrap();
        put.settle(&mut |what| told.push(what)).unwrap();
        assert_eq!((count(&told).0, &*all(engine, &name).elements[0].data), (1, &value[..]));
    });
}

#[test]
fn seqnos_count_from_one_and_are_told_in_order() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 100);
        for first in [1, 4] {
            let told = engine.put(&name, &["a", "b", "c"]);
            let mut next = first;
            for what in told {
                let Told::In(Run { first, count }) = what else { panic!("{what:?}") };
                assert_eq!(first, next);
                next += count;
            }
            assert_eq!(next, first + 3);
        }
        assert_eq!(all(engine, &name).seqnos(), [1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn elements_of_a_writer_that_come_again_are_told_and_not_put_twice() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 100);
        let put = |from: u64, to: u64| {
            let mut put = engine.space().put(&name, None).unwrap();
            put.resume(77, 0);
            let data: Vec<String> = (from..=to).map(|seq| format!("e{seq}")).collect();
            let mut items =
                (from..=to).zip(&data).map(|(seq, data)| (Stamp { writer: 77, seq }, data.as_bytes()));
            let mut told = Vec::new();
            put.put_stamped(&mut items, &mut |what| told.push(what)).unwrap();
            put.settle(&mut |what| told.push(what)).unwrap();
            told
        };
        assert_eq!(count(&put(1, 3)).0, 3);
        // Those that are in already are told with the seqno that they have, by a server as if they had come just now.
        let mut seqnos = Vec::new();
        for what in put(2, 5) {
            match what {
                Told::In(run) => seqnos.extend(run.first..run.first + run.count),
                Told::Again(seqno) => seqnos.push(seqno),
                Told::Refused(..) => panic!("{what:?}"),
            }
        }
        assert_eq!(seqnos, [2, 3, 4, 5]);
        assert_eq!(all(engine, &name).texts(), ["e1", "e2", "e3", "e4", "e5"]);
    });
}

#[test]
fn elements_keep_times_that_they_come_with_and_what_could_not_is_counted() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 100);
        let mut put = engine.space().put(&name, None).unwrap();
        let given = |time_ns| Given { stamp: None, time_ns, data: &b"x"[..] };
        put.put_given(&mut [given(1_000), given(3_000), given(2_000)].into_iter(), &mut |_| {}).unwrap();
        put.settle(&mut |_| {}).unwrap();
        let times: Vec<u64> = all(engine, &name).elements.iter().map(|element| element.time_ns).collect();
        assert_eq!((times, put.changed_times().behind), (vec![1_000, 3_000, 3_000], 1));
    });
}

#[test]
fn a_woof_is_made_by_the_put_that_misses_it_and_only_then() {
    each(|engine| {
        let name = engine.name("new");
        let missing = engine.space().put(&name, None).map(|mut put| {
            let mut put = move || {
                put.put(&mut [&b"x"[..]].into_iter(), &mut |_| {}).and_then(|()| put.settle(&mut |_| {}))
            };
            put()
        });
        let err = missing.and_then(|done| done).unwrap_err();
        assert_eq!((err.code(), err.object()), (Code::NotFound, &*name), "{err}");
        let create = Create { options: Options { history: 5, ..Options::default() }, ..Create::default() };
        for _ in 0..2 {
            let mut put = engine.space().put(&name, Some(&create)).unwrap();
            put_all(&mut *put, &["x"]);
        }
        let dir = engine.space().stat(&name).unwrap();
        assert_eq!((dir.uint("history"), dir.uint("next_seqno")), (Some(5), Some(3)));
    });
}

#[test]
fn an_element_over_the_limit_is_an_error_by_the_name_of_its_woof() {
    each(|engine| {
        let name = engine.name("small");
        let options = Options { element_size: Some(8), history: 10, ..Options::default() };
        engine.space().create(&name, &Create { options, ..Create::default() }).unwrap();
        let mut put = engine.space().put(&name, None).unwrap();
        let mut refused = None;
        let mut report = |what: Told| {
            if let Told::Refused(_, err) = what {
                refused = Some(err);
            }
        };
        let done = put
            .put(&mut [&b"much too long"[..]].into_iter(), &mut report)
            .and_then(|()| put.settle(&mut report));
        let err = done.err().or(refused).unwrap();
        assert_eq!((err.code(), err.object()), (Code::TooLarge, &*name), "{err}");
        assert!(err.text().contains("13 bytes, the limit of this woof is 8"), "{err}");
        assert_eq!(all(engine, &name).elements.len(), 0);
    });
}

#[test]
fn a_handler_that_is_not_there_cannot_be_named_in_a_put() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 10);
        let mut put = engine.space().put(&name, None).unwrap();
        let trigger = Trigger { handler: Some("../x".to_owned()), ..Trigger::default() };
        let done = put.set_trigger(&trigger).and_then(|()| {
            put.put(&mut [&b"x"[..]].into_iter(), &mut |_| {})?;
            put.settle(&mut |_| {})
        });
        let err = done.unwrap_err();
        assert_eq!(err.code(), Code::Invalid, "{err}");
        assert_eq!(all(engine, &name).elements.len(), 0);
    });
}

#[test]
fn a_handler_that_is_named_is_what_the_element_is_for() {
    each(|engine| {
        let name = engine.woof("w", ContentType::Text, 10);
        std::fs::write(engine.path("handlers/h"), "#!/bin/sh\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(engine.path("handlers/h"), mode).unwrap();
        let mut put = engine.space().put(&name, None).unwrap();
        put.set_trigger(&Trigger { handler: Some("h".to_owned()), ..Trigger::default() }).unwrap();
        assert_eq!(count(&put_all(&mut *put, &["x"])).0, 1);
        // What was put for a handler is held until that is done.
        assert_eq!(engine.space().stat(&name).unwrap().uint("held"), Some(1));
    });
}
