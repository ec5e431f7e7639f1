//! `wtail`: follows woofs.

use crate::support::position::{self, Awaited, Place, Position};
use crate::support::prelude::*;
use crate::support::select::selection;
use crate::support::shared_output::Shared;
use libwoofstream::error;
use libwoofstream::space::{self, Follow, MessageRef, Selection, Space as _, Spaces, Stop};
use libwoofstream::wire;
use std::path::Path;

pub(crate) const COMMAND: Command =
    Command { name: "wtail", about: "follows woofs", group: Group::Woofs, define, verb: Verb::Stream(run) };

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Sends the elements that are appended to woofs from now on, each as soon as it is there. Before them, with -n, the \
             newest that are there already, or all from --from or --since on. Asleep it uses no CPU. It ends when nobody \
             reads its output any more, when a woof is removed, moved or reset, or another file gets its name, or after --count elements.\n\n\
             With --keep it goes on behind the last element that arrived: how far that is stands in a file of this name in the \
             directory .woof/positions beside the woof (of a woof at a server in woofstream/positions in $XDG_STATE_HOME or \
             ~/.local/state). The first time it begins with what is put from then on, or with --from. The position moves \
             when the last command of the pipeline has the elements: wput when they are appended, any other when they \
             are written to a file or a terminal. So nothing is lost when any of them is killed; what was under way is sent again, and wput appends each \
             element once. Elements that --where passes over are done with too. Through a program (wrun without -e) a position moves at the end only.\n\n\
             When the pipeline ends and the position was not moved to what was sent, wtail says so, with status 1. That is so where \
             the end is no command of ours (cat, jq), gets text through a pipe, throws elements away (wcount), or cannot write the position's file: \
             as another user, or on another host. There wput appends each element once all the same, and hands on how far it is: \
             a last wcat on the host of the position moves it, with its output to a file or /dev/null.",
        )
        .arg(flags::operands("NAME", "Which woofs").required(true))
        .arg(flags::count().long("last").help("Send the newest so many first"))
        .args(flags::bounds())
        .arg(flags::filter())
        .arg(flags::number("stop-after", '\0', "COUNT", "Stop after so many elements").long("count"))
        .arg(
            flags::option("keep", '\0', "POSITION", "Go on from where this position is, and keep it")
                .conflicts_with_all(["count", "since", "until", "to"]),
        )
        .arg(flags::flag("no-follow", '\0', "Stop when all that is there was sent"))
        .arg(flags::timeout())
        .arg(flags::quiet())
        .after_long_help(
            "EXAMPLES\n  wtail farm/temp\n  wtail farm/temp -n 3 --count 3 --json | jq .value\n  \
             wtail farm/temp --where 'value > 70' | wput farm/alerts\n  wtail farm/temp farm/wind --since 10m\n  \
             wtail --keep up farm/temp | wput woof://hub/farm/temp\n  \
             wtail --keep up farm/temp | ssh hub wput farm/temp | wcat > /dev/null",
        )
}

/// So many bytes of elements are sent, or so many elements passed over, before it is said how far they go, while more come.
const POSITION_EVERY: usize = 64 << 10;

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let names: Vec<&str> = args.texts("NAME").collect();
    let (mut selection, last) = selection(args, env)?;
    selection.last = last;
    selection.limit = args.number("stop-after");
    let stop = Stop::default();
    if !args.has("no-follow") {
        selection.follow = Some(Follow { stop: stop.clone() });
        if let Some(watch) = out.watch() {
            // The thread ends with the process; it holds nothing but its descriptor.
            let stop = stop.clone();
            std::thread::spawn(move || {
                watch.until_unread();
                stop.stop();
            });
        }
    }
    let spaces = env.spaces();
    match names[..] {
        [name] if args.text("keep").is_some() => keep(name, args, env, selection, out)?,
        [_, second, ..] if args.text("keep").is_some() => {
            return Err(Failure::invalid(second, "a position is of one woof (--keep)"));
        }
        [name] => spaces.read(name, &selection, out)?,
        _ => follow_all(&spaces, &names, &selection, &stop, out)?,
    }
    Ok(Outcome::Done)
}

/// Reads several woofs at once, a thread each, into one output.
fn follow_all(
    spaces: &Spaces,
    names: &[&str],
    selection: &Selection,
    stop: &Stop,
    out: &mut Output,
) -> Result<(), Failure> {
    let shared = Shared::new(out, selection.limit);
    std::thread::scope(|scope| {
        for name in names {
            let mut sink = shared.sink(stop.clone());
            let selection = Selection { limit: None, ..selection.clone() };
            scope.spawn(move || {
                let done = spaces.read(name, &selection, &mut sink);
                sink.end(done);
            });
        }
    });
    Ok(shared.finish()?)
}

/// Follows one woof from a kept position.
fn keep(
    name: &str,
    args: &Args,
    env: &Env,
    mut selection: Selection,
    out: &mut Output,
) -> Result<(), Failure> {
    let spaces = env.spaces();
    let local = env.local_path(name)?;
    let (made_ns, next) = position::attributes(&spaces, name)?;
    let place = match &local {
        Some(path) => Place::beside(Path::new(path)),
        None => Place::of_user(&position::woof_of(&spaces, name)?)?,
    };
    let about_woof = |err: Error| if err.object().is_empty() { err.of(name) } else { err };
    let begin = args.number("from").unwrap_or(next) - 1;
    let keep = args.text("keep").unwrap_or_default();
    let mut position = Position::take(&place, made_ns, keep, begin).map_err(about_woof)?;
    // Until it was taken, what the last pipeline left behind may have moved it, to elements that came meanwhile.
    let (_, next) = position::attributes(&spaces, name)?;
    let first = position.go_on(next, name, env)?;
    selection.range = Some(SeqRange { from: Bound::Seqno(first), to: Bound::Open });
    if first >= next && selection.follow.is_none() {
        // Nothing has come since.
        selection.range = None;
        selection.limit = Some(0);
    }
    let message = position.message(name)?;
    let told = message.seqno;
    let mut kept = Kept { out, message, told, bytes: 0 };
    let read = spaces.read(name, &selection, &mut kept);
    // What was sent before it went wrong was sent.
    let told = kept.tell();
    let sent = kept.told;
    let awaited = Awaited::new(position, name, sent, out.reading());
    out.await_position(awaited);
    read?;
    Ok(told?)
}

/// Passes elements on, and says behind them how far they go.
struct Kept<'a> {
    out: &'a mut Output,
    /// How far those go that were passed on or not wanted.
    message: wire::Position,
    /// How far was said last.
    told: u64,
    /// Of elements since then.
    bytes: usize,
}

impl Kept<'_> {
    fn tell(&mut self) -> error::Result<()> {
        if self.told == self.message.seqno { Ok(()) } else { self.say() }
    }

    fn say(&mut self) -> error::Result<()> {
        (self.told, self.bytes) = (self.message.seqno, 0);
        let payload = self.message.encode()?;
        self.out.message(&Raw { kind: Kind::POSITION, ..Raw::bytes(&payload) })
    }
}

impl space::Sink for Kept<'_> {
    #[inline]
    fn message(&mut self, message: MessageRef<'_>) -> error::Result<()> {
        match message {
            MessageRef::Elem { seqno, time_ns, data } => {
                self.out.elem(seqno, time_ns, data)?;
                (self.message.seqno, self.message.last) = (seqno, (seqno, time_ns));
                self.bytes += data.len() + wire::ELEM_PREFIX;
                if self.bytes < POSITION_EVERY { Ok(()) } else { self.say() }
            }
            MessageRef::Dir(dir) => {
                self.out.dir(dir)?;
                // Before the first element: whoever appends them knows from here on that some may come again.
                self.say()
            }
            message => space::Sink::message(self.out, message),
        }
    }

    fn seen(&mut self, seqno: u64) -> error::Result<()> {
        self.message.seqno = self.message.seqno.max(seqno);
        if self.message.seqno - self.told < POSITION_EVERY as u64 { Ok(()) } else { self.say() }
    }

    fn before_wait(&mut self) -> error::Result<()> {
        self.tell()?;
        self.out.flush()
    }
}
