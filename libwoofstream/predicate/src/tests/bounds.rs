//! What strangers may send: large, deep and costly expressions.

use super::*;
use crate::Meter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use woof_core::error::Code;

#[test]
fn a_long_expression_is_refused_before_it_is_read() {
    let err = Predicate::compile(&" ".repeat(65_537)).unwrap_err();
    assert_eq!(err.to_string(), "expression: is 65537 bytes, the limit is 65536");
    assert_eq!(err.code(), Code::TooLarge);
    assert_eq!(Predicate::compile(&"(".repeat(100_000)).unwrap_err().code(), Code::TooLarge);
}

#[test]
fn nesting_is_refused_where_it_becomes_too_deep() {
    let many = 60_000;
    for (text, place) in [
        ("(".repeat(many), 65),
        ("!".repeat(many), 64),
        ("-".repeat(many), 64),
        ("[".repeat(many), 65),
        ("{1:".repeat(many / 3), 191),
        ("has(".repeat(many / 4), 257),
        ("true?".repeat(many / 5), 0),
        ("a[".repeat(many / 2), 129),
        (format!("x{}", ".a".repeat(many / 2)), 1),
        (format!("1{}", "+1".repeat(many / 2)), 1),
        (format!("x{}", "[0]".repeat(many / 3)), 1),
        ("true ? true : ".repeat(many / 14), 897),
    ] {
        let err = Predicate::compile(&text).unwrap_err();
        if place > 0 {
            assert_eq!(err.to_string(), format!("expression:{place}: nested too deep: 64 levels at most"));
        }
    }
    let within = format!("{}true{}", "(".repeat(60), ")".repeat(60));
    assert!(matches(&within, &Subject::default()));
    assert!(matches(&format!("{}true", "!".repeat(60)), &Subject::default()));
}

#[test]
fn chains_of_logic_may_be_as_long_as_the_text() {
    let count = 65_536 / 6 - 1;
    let any = format!("{}true", "a||".repeat(65_500 / 3));
    assert!(matches(&any, &Subject::default()));
    let all = format!("{}value>2", "true&&".repeat(count - 1));
    assert!(matches(&all, &data(ContentType::Text, b"3")));
    // In the interpreter too.
    let inside = format!("json.exists(x, {}x > 2)", "x==9||".repeat(count - 10));
    assert!(matches(&inside, &data(ContentType::Json, b"[1,2,3]")));
}

#[test]
fn joins_of_strings_are_limited() {
    let text = format!("text{} == ''", " + text".repeat(17));
    assert_eq!(
        Predicate::compile(&text).unwrap_err().to_string(),
        "expression:1: more than 16 '+' that join strings or lists"
    );
    assert!(Predicate::compile(&format!("text{} == ''", " + text".repeat(16))).is_ok());
    assert!(Predicate::compile(&format!("value{} > 3", " + 1".repeat(40))).is_ok());
}

#[test]
fn a_costly_evaluation_ends_as_no_match() {
    // A hundred thousand elements, looked at once: that is allowed.
    let list = format!("[{}1]", "0,".repeat(100_000 / 2));
    let list = data(ContentType::Json, list.as_bytes());
    assert!(matches("json.exists(x, x == 1)", &list));
    assert!(matches("json.exists_one(x, x == 1) && json.filter(x, x == 0).size() == 50000", &list));
    // Each with each is not, and neither answer is given.
    for text in [
        "json.all(x, json.all(y, x + y < 3))",
        "json.exists(x, json.exists(y, x + y > 2))",
        "json.filter(x, json.exists(y, x + y > 2)).size() >= 0",
        "json.exists_one(x, json.exists(y, x + y > 2))",
    ] {
        for text in [text.to_owned(), format!("!({text})")] {
            let predicate = Predicate::compile(&text).unwrap().within(Meter::new(1_000_000, Arc::default()));
            assert!(!predicate.matches(&list), "{text}");
            assert!(predicate.over().unwrap().starts_with("took more than 1000000 steps"), "{text}");
            assert!(predicate.over().is_none() && predicate.ended().is_none() && predicate.is_turn_over());
        }
    }
}

#[test]
fn what_evaluations_cost_together_is_bounded_and_cheap_ones_go_on_for_ever() {
    let meter = |each| Meter::new(each, Arc::default());
    let list = format!("[{}1]", "0,".repeat(100));
    let list = data(ContentType::Json, list.as_bytes());
    let costly = Predicate::compile("json.all(x, json.all(y, x + y < 3))").unwrap().within(meter(200_000));
    let times = (0..10_000).take_while(|_| costly.matches(&list) && costly.ended().is_none()).count();
    assert!((90..400).contains(&times), "{times}");
    let text = costly.ended().unwrap().to_string();
    assert!(text.contains("evaluations took more than 20000000 steps in all"), "{text}");
    let cheap = Predicate::compile("json.exists(x, x == 1)").unwrap().within(meter(200_000));
    assert!((0..20_000).all(|_| cheap.matches(&list) && cheap.ended().is_none()));
}

#[test]
fn nested_lists_and_many_values_cost_what_they_are() {
    let many = format!("[{}1]", "[],".repeat(100_000));
    let many = data(ContentType::Json, many.as_bytes());
    let predicate = Predicate::compile("size(json) > 3").unwrap();
    assert!(predicate.matches(&many));
    let predicate = predicate.within(Meter::new(50_000, Arc::default()));
    assert!(!predicate.matches(&many));
    assert!(predicate.over().is_some());
}

#[test]
fn an_evaluation_that_nobody_waits_for_ends() {
    let gone = Arc::new(AtomicBool::new(false));
    let list = format!("[{}1]", "0,".repeat(30_000));
    let costly = "json.all(x, json.all(y, json.all(z, x + y + z < 9)))";
    let costly = Predicate::compile(costly).unwrap().within(Meter::new(1 << 40, Arc::clone(&gone)));
    std::thread::scope(|scope| {
        let (list, costly) = (&list, &costly);
        // Without an end it would take a month.
        let evaluation = scope.spawn(move || costly.matches(&data(ContentType::Json, list.as_bytes())));
        std::thread::sleep(std::time::Duration::from_millis(50));
        gone.store(true, Ordering::Relaxed);
        assert!(!evaluation.join().unwrap());
    });
    assert_eq!(costly.ended().unwrap().text(), "nobody waits for the answer any more");
}

#[test]
fn an_expression_with_too_many_patterns_is_refused() {
    let text = |count| vec!["text.matches('a|b')"; count].join(" || ");
    assert!(Predicate::compile(&text(64)).is_ok());
    assert!(Predicate::compile(&text(65)).unwrap_err().to_string().ends_with("more than 64 patterns"));
}

#[test]
fn data_that_is_too_large_is_not_interpreted() {
    let large = vec![b'a'; (4 << 20) + 1];
    let large = data(ContentType::Text, &large);
    assert!(!matches("size(text) > 0 || size(text) == 0", &large));
    assert!(matches("text.startsWith('aa') && !text.contains('b') && size > 4", &large));
}
