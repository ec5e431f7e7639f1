//! From a put to the start of its handler in the container of its namespace, against the same without a container.

use super::Programs;
use super::farm::{Farm, Program, Server};
use super::soon::{BETWEEN, put};
use crate::Result;
use crate::measure::{Pair, median};
use crate::place::Place;
use crate::report::{Report, Target, Unit};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

pub(super) fn rows(place: &Place, report: &mut Report, programs: Programs<'_>) -> Result<()> {
    let Some(image) = Image::new()? else {
        return report.note("*** no container engine answers: handlers in a container are NOT measured ***");
    };
    let program = Program::File(programs.started);
    let mut here = Farm::new(place, "farm", &program, 4)?;
    let mut there = Farm::new(place, "contained", &program, 4)?;
    // There it is another user who writes.
    set_permissions(there.fifo_path(), Permissions::from_mode(0o666))?;
    let _here = Server::start(&here, place, &[])?;
    let _there = Server::start(&there, place, &["--container", &image.name])?;
    let samples = place.count(500, 30);
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for round in 0..=place.rounds(7) {
        let (mut contained, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..samples {
            std::thread::sleep(BETWEEN);
            contained.push(put(&mut there)?);
            std::thread::sleep(BETWEEN);
            plain.push(put(&mut here)?);
        }
        // The first round does not count: in it the container starts.
        if round > 0 {
            ours.push(median(&contained));
            beside.push(median(&plain));
        }
    }
    report.pair(
        "put to handler started in a container, p50",
        "the same without a container",
        Unit::Time,
        &Pair::of(ours, beside),
        Target::TimesItsTime(1.3),
    )
}

/// An image with nothing in it: our program and the handler are static, and both are mounted.
struct Image {
    name: String,
}

impl Image {
    /// Nothing where no engine answers.
    fn new() -> Result<Option<Image>> {
        if !docker(&["info"]) {
            return Ok(None);
        }
        let name = format!("woofstream-bench:{}", std::process::id());
        let script = "tar -c --files-from /dev/null | docker import - \"$1\"";
        let made = Command::new("sh").args(["-c", script, "sh", &name]).stdout(Stdio::null()).status()?;
        if made.success() { Ok(Some(Image { name })) } else { Err(format!("docker import: {made}").into()) }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["image", "rm", "--force", &self.name]);
    }
}

/// Whether Docker's own command ends well.
fn docker(args: &[&str]) -> bool {
    let mut command = Command::new("docker");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
