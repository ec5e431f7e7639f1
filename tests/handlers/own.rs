//! Handlers of dead letters, and what is seen of those that were put back.

use crate::farm::Farm;

#[test]
fn a_handler_of_dead_letters_gets_each_and_does_not_feed_itself() {
    let farm = Farm::with("--type text");
    farm.handler("h", "read v; [ $v = good ]");
    farm.handler("mail", "cat >> mailed; exit 1");
    farm.sh("wbind farm/temp h --retries 0; wbind farm/.woof/dead mail --retries 0; wput farm/temp bad good")
        .done();
    assert_eq!(farm.once().status, 1);
    assert_eq!((farm.count(0, "dead"), farm.count(1, "dead"), farm.count(1, "pending")), (1, 1, 0));
    let mailed = farm.lines("mailed");
    assert_eq!(mailed.len(), 1, "{mailed:?}");
    assert!(
        mailed[0].contains("\"trigger\":\"1-1\"") && mailed[0].contains("\"data\":\"bad\""),
        "{mailed:?}"
    );
    let refusal = "what is in .woof is the namespace's own: handlers can be bound to .woof/dead only\n";
    let ran = farm.sh("wbind farm/.woof/triggers mail");
    assert_eq!((ran.status, ran.stderr), (2, format!("wbind: farm/.woof/triggers: {refusal}")));
}

#[test]
fn a_handler_of_dead_letters_that_makes_new_ones_goes_round_only_so_often() {
    let farm = Farm::with("--type text");
    farm.handler("h", "echo x >> runs; exit 1");
    farm.handler("again", "wput temp again > /dev/null");
    farm.sh("wbind farm/temp h --retries 0; wbind farm/.woof/dead again; wput farm/temp x").done();
    assert_eq!(farm.once().status, 1);
    assert_eq!(farm.lines("runs").len(), 15);
}

#[test]
fn that_a_dead_letter_was_put_back_and_is_done_is_shown_and_logged_by_name() {
    let farm = Farm::with("--type text");
    farm.handler("h", "[ -e mended ]");
    farm.sh("wbind farm/temp h --retries 0; wput farm/temp x y").done();
    let server = farm.serve();
    farm.until("they are dead", || farm.count(0, "dead") == 2);
    farm.sh("touch farm/mended; wbind retry farm 1-2").done();
    farm.until("it is done", || {
        farm.sh("wstat --triggers farm --json").text().lines().count() == 2 && farm.count(1, "done") == 1
    });
    server.kill();
    let shown = farm.sh("wstat --triggers farm");
    let lines: Vec<Vec<&str>> = shown.done().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["1", "temp", "h", "0", "0", "0", "2", "2", "1", "0", "-"]);
    assert_eq!(lines[2], ["0", ".woof/retries", "(put", "back)", "0", "0", "1", "0", "0", "0", "0", "-"]);
    let log = farm.server_log();
    let line = log.lines().find(|line| line.contains("a dead letter that was put back is done")).unwrap();
    assert!(line.contains("trigger=1-2") && line.contains("handler=h"), "{line}");
}

#[test]
fn letters_are_still_dead_until_they_are_put_back_and_when_they_died_again() {
    let farm = Farm::with("--type i64");
    farm.handler("h", "read v; [ -e \"mended$v\" ]");
    farm.handler("other", "exit 1");
    farm.sh("wbind farm/temp h --retries 1; wbind farm/temp other --retries 0; seq 3 | wput farm/temp")
        .done();
    assert_eq!(farm.once().status, 1);
    let counts = || ["failed", "dead", "still_dead"].map(|column| farm.count(0, column));
    assert_eq!(counts(), [6, 3, 3]);
    farm.sh("touch farm/mended1 farm/mended2; wbind retry farm 1-1 1-3").done();
    assert_eq!(counts(), [6, 3, 1], "they are pending again");
    assert_eq!(farm.once().status, 1);
    assert_eq!(counts(), [6, 3, 2], "one is done, one died again, one was never put back");
    assert_eq!(farm.count(1, "still_dead"), 3);
    let shown = farm.sh("wstat --triggers farm");
    let head =
        shown.done().lines().next().unwrap().split("  ").filter(|cell| !cell.is_empty()).map(str::trim);
    assert_eq!(
        head.collect::<Vec<_>>().join("|"),
        "id|woof|handler|pending|running|done|failed attempts|given up|still dead|lost|oldest"
    );
}

#[test]
fn a_log_of_triggers_that_is_removed_under_a_server_is_made_again_and_nothing_is_run_twice() {
    let farm = Farm::with("--type text");
    farm.handler("note", "read v; echo $v >> notes");
    farm.sh("wbind farm/temp note").done();
    let server = farm.serve();
    farm.sh("wput farm/temp one").done();
    farm.until("the first is done", || farm.count(0, "done") == 1);
    std::fs::remove_file(farm.path(".woof/triggers")).unwrap();
    farm.sh("wput farm/temp two").done();
    farm.until("both are known to be done", || farm.count(0, "done") == 2);
    server.kill();
    farm.once().done();
    assert_eq!((farm.lines("notes"), farm.count(0, "done")), (vec!["one".to_owned(), "two".to_owned()], 2));
    let log = farm.server_log();
    assert_eq!(log.matches("the log of triggers was removed: made again").count(), 1, "{log}");
}
