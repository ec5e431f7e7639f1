//! Standard descriptors that are closed, and outputs that take nothing: nothing is lost in silence, and nothing is written
//! where it does not belong.

use crate::support::Sandbox;

fn ready() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .sh("wcreate -p ns/w; wput ns/w 1 2 > /dev/null; wecho x > stream; wns add there $PWD/ns; wkey init; wkey add me")
        .done();
    sandbox
}

/// What writes to its output: all that do, in each form.
const WRITE: [&str; 44] = [
    "wget ns/w",
    "wget ns/w -u",
    "wget ns/w --json",
    "wget ns/w --json --end",
    "wtail ns/w --from 1 --no-follow",
    "wtail ns/w --from 1 --no-follow -u",
    "wtail ns/w ns/w --from 1 --no-follow --json",
    "wfind ns",
    "wfind ns -u",
    "wfind ns --json",
    "wfind ns --get",
    "wcat < stream",
    "wcat ns/w",
    "wcat -u < stream",
    "wcat -l < stream",
    "wcat --json < stream",
    "wcat --framed < stream",
    "wget ns/w --json | wcat --from json",
    "wcat --plot ns/w",
    "wcount < stream",
    "wcount -a < stream",
    "wcount --json < stream",
    "wecho x",
    "wecho x -u",
    "wecho x --json",
    "wfilter true < stream",
    "wfilter true -u < stream",
    "whead -u < stream",
    "whead -n -0 < stream",
    "wmerge ns/w stream",
    "wmerge ns/w -u",
    "wsplit < stream",
    "wsplit --json < stream",
    "wtee < stream",
    "wrun cat < stream",
    "wrun -u echo y < /dev/null",
    "wrun -e -u cat < stream",
    "wput --json ns/w 3",
    "wstat ns/w",
    "wstat ns/w --json",
    "wattr ns",
    "wns",
    "wkey",
    "wkey export me",
];

/// What does not write to its output.
const SILENT: [&str; 9] = [
    "wput ns/w 4",
    "seq 3 | wput ns/w",
    "wcreate ns/$RANDOM$RANDOM",
    "wcreate ns/gone && wrm ns/gone",
    "wattr ns grant any read",
    "wns add other $PWD/ns",
    "wcat < /dev/null",
    "wfilter true < stream | wcount > /dev/null",
    "wbind list ns",
];

#[test]
fn output_that_is_closed_is_an_error_of_what_writes_to_it() {
    let sandbox = ready();
    for command in WRITE {
        let name = command.rsplit("| ").next().unwrap().split(' ').next().unwrap();
        let ran = sandbox.bash(&format!("{command} >&-"));
        assert_eq!((ran.status, ran.stderr.as_str()), (2, &*format!("{name}: out: closed\n")), "{command}");
        let ran = sandbox.bash(&format!("{command} > /dev/null"));
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{command}");
        let ran = sandbox.bash(&format!("{command} 1<> /dev/null"));
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{command}");
    }
    for command in SILENT {
        let ran = sandbox.bash(&format!("{{ {command}; }} >&-"));
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{command}");
    }
    for help in
        ["woof", "woof --help", "wput --help", "wput --version", "woof --completions bash", "woof help put"]
    {
        let ran =
            sandbox.bash(&format!("PATH=$PWD:$PATH; ln -sf {} woof; {help} >&-", crate::support::woof()));
        assert_eq!((ran.status, ran.stderr.as_str()), (2, "woof: out: closed\n"), "{help}");
    }
    // Nothing was put that is not told of.
    let before = sandbox.sh("wget ns/w .. | wcount").done().to_owned();
    assert_eq!(sandbox.sh("wput --json ns/w 5 >&-").status, 2);
    assert_eq!(sandbox.sh("wget ns/w .. | wcount").done(), before);
    // A channel that is named is the same.
    let ran = sandbox.sh("WOOF_CHANNELS='in=<0,out=>1' wget ns/w -u >&-");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wget: out: closed\n"));
    let ran = sandbox.sh("wget ns/w -u -o err 2>&-");
    assert_eq!(ran.status, 2);
}

#[test]
fn an_output_that_is_full_is_an_error_in_every_form() {
    let sandbox = ready();
    for command in WRITE {
        let name = command.rsplit("| ").next().unwrap().split(' ').next().unwrap();
        let ran = sandbox.bash(&format!("{command} > /dev/full"));
        let said = format!("{name}: out: write: no space left on device\n");
        assert_eq!((ran.status, ran.stderr), (2, said), "{command}");
    }
    for help in ["--help", "--version", "--completions zsh", ""] {
        let ran = sandbox.bash(&format!("{} {help} > /dev/full", crate::support::woof()));
        assert_eq!(
            (ran.status, ran.stderr.as_str()),
            (2, "woof: out: write: no space left on device\n"),
            "{help}"
        );
    }
    // A copy of several is told, and the others go on.
    let ran = sandbox.bash("wtee /dev/full -u < stream 2> told; echo $?; cat told");
    assert_eq!(ran.done(), "x\n1\nwtee: /dev/full: write: no space left on device\n");
}

#[test]
fn input_that_is_closed_is_an_error_of_what_reads_it() {
    let sandbox = ready();
    for command in [
        "wcat",
        "wcount",
        "wfilter true",
        "whead",
        "wmerge -",
        "wsplit",
        "wtee",
        "wput ns/w",
        "wrun cat",
        "wrun -e cat",
        "wcat --from json",
        "wcat --plot",
        "wkey import -",
        "wcat -",
    ] {
        let name = command.split(' ').next().unwrap();
        let ran = sandbox.bash(&format!("{command} <&- > out; s=$?; wcat -u out 2> /dev/null; exit $s"));
        let said = format!("{name}: in: closed\n");
        assert_eq!((ran.status, ran.text(), ran.stderr.as_str()), (2, "", said.as_str()), "{command}");
    }
    for command in [
        "wget ns/w",
        "wput ns/w 3",
        "wecho x",
        "wstat ns/w",
        "wcat stream",
        "wrun --on ns/w --from 1 --count 1 cat",
    ] {
        let ran = sandbox.bash(&format!("{command} <&- > out"));
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{command}");
    }
    // The null device is empty input, whichever way it was opened.
    for command in ["wcount < /dev/null", "wcount <> /dev/null"] {
        assert_eq!(sandbox.bash(command).done(), "0\n");
    }
}

#[test]
fn nothing_is_written_into_a_file_that_takes_the_place_of_a_closed_descriptor() {
    let sandbox = ready();
    sandbox.sh("wcreate ns/v; wput ns/v 1 2 3 > /dev/null; cp ns/v before").done();
    for command in [
        "wget ns/v 77",
        "wget ns/v ..",
        "wtail ns/v --no-follow --from 1",
        "wcat ns/v nowhere",
        "wstat ns/v nowhere",
        "wfind ns nowhere",
        "wmerge ns/v",
        "wput ns/none x",
        "wfilter '('",
        "wcount",
        "wattr ns",
        "wcat ns/v stream",
        "wtee copy",
        "wrun --at ns none",
    ] {
        for closed in ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"] {
            sandbox.bash(&format!("{command} {closed}"));
            let ran = sandbox.bash("cmp ns/v before && wget ns/v .. | wcount");
            assert_eq!(ran.done(), "3\n", "{command} {closed}");
        }
    }
    // Messages that nobody can read harm nothing.
    assert_eq!(sandbox.bash("wget ns/v -u 2>&-").done(), "3\n");
    assert_eq!(sandbox.bash("wget ns/v 77 2>&-").status, 2);
    assert_eq!(sandbox.bash("wrun -u sh -c 'echo told >&2; echo out' < /dev/null 2>&-").done(), "out\n");
    assert_eq!(sandbox.bash("wget ns/v .. 2>&- | wcount 2>&-").done(), "3\n");
    let ran = sandbox.bash("wput ns/v new <&- >&- 2>&-; wget ns/v -u");
    assert_eq!(ran.done(), "new\n");
}
