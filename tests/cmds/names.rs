//! Names that are not UTF-8, and names that would steer a terminal: programs get every byte of them, people see them escaped.

use crate::server::{Serving, local, ready};
use crate::support::{Sandbox, finish};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Names that files may have and that no woof is given by us.
const STRANGE: [&[u8]; 5] =
    [b"te\xffmp", b"a\nb", b"red\x1b[31m\x1b]0;title\x07", "order\u{202e}txt\u{202c}".as_bytes(), b"\xc3"];

/// A namespace with woofs that somebody gave such names.
fn strange(sandbox: &Sandbox) {
    for (number, name) in STRANGE.iter().enumerate() {
        sandbox.sh(&format!("wcreate -p srv/farm/plain && wput srv/farm/plain {number} > /dev/null")).done();
        let dir = sandbox.dir().join("srv/farm");
        std::fs::rename(dir.join("plain"), dir.join(OsStr::from_bytes(name))).unwrap();
    }
}

/// Their names in the order in which they are found, with what is before them.
fn found(before: &str) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = STRANGE.iter().map(|name| [before.as_bytes(), name].concat()).collect();
    names.sort();
    names
}

#[test]
fn programs_get_every_byte_of_a_name() {
    let sandbox = ready();
    strange(&sandbox);
    let serving = Serving::start(&sandbox, &["--listen", "127.0.0.1:0"]);
    sandbox
        .sh(&format!(
            "wns add there {} && wns add both {} srv/farm",
            serving.name("farm"),
            local(&sandbox, "farm")
        ))
        .done();
    for name in [
        "srv/farm".to_owned(),
        serving.name("farm"),
        local(&sandbox, "farm"),
        "there".to_owned(),
        "both".to_owned(),
    ] {
        let expected: Vec<u8> =
            found(&format!("{name}/")).iter().flat_map(|name| [name, &b"\0"[..]].concat()).collect();
        for script in [
            format!("wfind {name} -u --delimiter nul"),
            format!(
                "wfind {name} > s; wcat --json s | wcat --from json | cmp - s && wfind {name} --delimiter nul"
            ),
            format!(
                "wfind {name} > s; wfilter true < s | wtee t | cmp - s; cmp s t && wfind {name} -u --delimiter nul"
            ),
        ] {
            let ran = sandbox.bash(&script);
            assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{script}");
            assert_eq!(String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&expected), "{script}");
            assert_eq!(ran.stdout, expected, "{script}");
        }
        // As text in a pipe, and with the elements.
        let lines: Vec<u8> =
            found(&format!("{name}/")).iter().flat_map(|name| [name, &b"\n"[..]].concat()).collect();
        assert_eq!(sandbox.sh(&format!("wfind {name} | wcat | cat")).stdout, lines);
        let ran = sandbox.sh(&format!("wfind {name} --get --json | wcat --from json > s; wfind {name} --get > t; cmp s t; wfind {name} --get | wcount"));
        assert_eq!(ran.done(), "5\n", "{name}");
    }
    serving.stop();
}

#[test]
fn json_has_bytes_where_a_name_is_no_text() {
    let sandbox = ready();
    strange(&sandbox);
    let ran = sandbox.sh("cd srv/farm && wfind --json | cut -d, -f1-99 | grep -o '\"path\":[^,]*' ");
    assert_eq!(
        ran.done(),
        "\"path\":\"a\\nb\"\n\"path\":\"order\u{202e}txt\u{202c}\"\n\"path\":\"red\\u001b[31m\\u001b]0;title\\u0007\"\n\
         \"path\":{\"data_base64\":\"dGX/bXA=\"}\n\"path\":{\"data_base64\":\"ww==\"}\n"
    );
    let ran = sandbox.sh("cd srv/farm && wfind --get --json | grep -o '\"woof\":[^,]*' | tail -n 2");
    assert_eq!(ran.done(), "\"woof\":{\"data_base64\":\"dGX/bXA=\"}\n\"woof\":{\"data_base64\":\"ww==\"}\n");
}

/// What is for people has nothing that steers.
#[track_caller]
fn assert_is_tame(text: &str, what: &str) {
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    assert!(!text.contains(steers), "{what}: {text:?}");
    assert!(!text.contains('\u{fffd}'), "{what}: {text:?}");
}

#[test]
fn people_see_names_escaped() {
    let sandbox = ready();
    strange(&sandbox);
    let seen = sandbox.terminal("wfind srv/farm");
    assert_eq!(
        seen,
        "srv/farm/a\\nb\nsrv/farm/order\\u{202e}txt\\u{202c}\nsrv/farm/red\\u{1b}[31m\\u{1b}]0;title\\u{7}\nsrv/farm/te\\xffmp\nsrv/farm/\\xc3\n"
    );
    for script in [
        "wfind srv/farm --get --color never",
        "wfind srv/farm | wcat -l --color never",
        "wfind srv/farm --get | wcat -l --color never",
        "wfind srv/farm --get | wcat --plot",
    ] {
        assert_is_tame(&sandbox.terminal(script), script);
        let ran = sandbox.sh(&format!("{script} | wcat"));
        assert_eq!(ran.status, 0, "{script}");
    }
    for script in
        ["wfind srv/farm | wcat -l", "wfind srv/farm --get | wcat -l", "wfind srv/farm --get | wcat --plot"]
    {
        assert_is_tame(sandbox.sh(script).text(), script);
    }
    // What is damaged is told by its name.
    for name in STRANGE {
        let path = sandbox.dir().join("srv/farm").join(OsStr::from_bytes(name));
        std::fs::write(path, b"\x89wooflog then rubbish").unwrap();
    }
    let ran = sandbox.sh("wfind srv/farm -u");
    assert_eq!((ran.status, ran.stderr.lines().count()), (1, 5), "{}", ran.stderr);
    assert_is_tame(&ran.stderr, "errors");
    assert!(ran.stderr.contains("wfind: srv/farm/te\\xffmp: "), "{}", ran.stderr);
    assert_is_tame(&sandbox.terminal("wfind srv/farm -u --color never || true"), "errors on a terminal");
}

#[test]
fn tables_errors_and_logs_do_not_steer() {
    let sandbox = ready();
    // Bidi controls are no control characters, so that a woof may have such a name.
    let name = "farm/pay\u{202e}lla\u{2066}";
    let serving = Serving::start(&sandbox, &["--listen", "127.0.0.1:0"]);
    sandbox.sh(&format!("wcreate srv/{name} && wput srv/{name} 1 > /dev/null && wns add 'p\u{202e}q' $PWD/srv && mkdir -p srv/farm/handlers && install -m 755 /bin/true 'srv/farm/handlers/h\u{202e}'")).done();
    sandbox.sh("wattr srv/farm grant user 'al\u{202e}ice' read; wkey add 'bo\u{202e}b'; true");
    for script in [
        format!("wstat srv/{name}"),
        format!("wget srv/{name}"),
        format!("wcat -l srv/{name}"),
        format!("wget srv/{name} 77 || true"),
        format!("wget srv/{name}x || true"),
        format!("wput --json srv/{name} 2 | wcat -l"),
        format!("wput srv/{name} 2 | wcat"),
        "wns; wns resolve 'p\u{202e}q/x'".to_owned(),
        format!("wbind srv/{name} 'h\u{202e}' --where 'text != \"\u{202e}\"'; wbind list srv/farm; wstat --triggers srv/farm"),
        "wattr srv/farm".to_owned(),
        "wkey".to_owned(),
        format!("wget {} 77 || true", serving.name(name)),
        format!("wget {}y || true", serving.name(name)),
        "wcat 'no\u{202e}ne' || true; wget 'p\u{202e}q/none' || true; woof 'no\u{202e}ne' || true; wget --'o\u{202e}' || true".to_owned(),
        "wrun 'no\u{202e}ne' < /dev/null || true; wcat --from 'j\u{202e}' || true".to_owned(),
    ] {
        let seen = sandbox.terminal(&script);
        let seen = seen.replace("\u{1b}[1m", "").replace("\u{1b}[2m", "").replace("\u{1b}[0m", "").replace("\u{1b}[1;31m", "").replace("\u{1b}[32m", "");
        assert_is_tame(&seen, &script);
    }
    let log = serving.stop();
    assert_is_tame(&log, "log");
}

#[test]
fn an_argument_that_is_not_utf8_is_refused_by_name() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p ns/w; wput ns/w 1 > /dev/null").done();
    let bad = OsStr::from_bytes(b"ns/te\xffmp");
    for (command, before) in [
        ("wget", &[][..]),
        ("wput", &[]),
        ("wcreate", &[]),
        ("wrm", &[]),
        ("wstat", &[]),
        ("wtail", &[]),
        ("wfind", &[]),
        ("wcat", &[]),
        ("wmerge", &[]),
        ("wtee", &[]),
        ("wattr", &[]),
        ("wbind", &["list"]),
        ("wns", &["add", "x"]),
        ("wkey", &["add"]),
        ("wserve", &[]),
        ("wfilter", &[]),
        ("wrun", &["--on"]),
        ("wrun", &["--at"]),
        ("wtail", &["ns/w", "--keep"]),
        ("wput", &["ns/w", "--handler"]),
        ("wfind", &["--name"]),
        ("wget", &["ns/w", "--where"]),
        ("wget", &["ns/w", "-o"]),
        ("wcat", &["-i"]),
    ] {
        let mut run = sandbox.command(command);
        run.args(before).arg(bad);
        let ran = finish(&mut run, b"");
        let said = format!("{command}: ns/te\\xffmp: not UTF-8, which names and options are\n");
        assert_eq!((ran.status, ran.stderr), (2, said), "{command} {before:?}");
    }
    // What is data is any bytes.
    let mut run = sandbox.command("wput");
    run.args(["ns/w", "--"]).arg(OsStr::from_bytes(b"da\xffta"));
    assert_eq!(finish(&mut run, b"").status, 0);
    assert_eq!(sandbox.sh("wget ns/w -u").stdout, b"da\xffta\n");
    assert_eq!(sandbox.sh("wget $(printf 'a\\nb') || wcreate \"$(printf 'ns/a\\nb')\"").status, 2);
}

#[test]
fn a_program_is_told_the_name_as_it_is() {
    let sandbox = ready();
    strange(&sandbox);
    let ran = sandbox.bash("wfind srv/farm --get | wrun -u -e sh -c 'printf \"%s\\\\0\" \"$WOOF_NAME\"'");
    let expected: Vec<u8> = found("srv/farm/").iter().flat_map(|name| [name, &b"\0"[..]].concat()).collect();
    assert_eq!((ran.stderr.as_str(), ran.stdout), ("", expected));
}
