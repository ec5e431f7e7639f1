//! An sshd of our own on the far side of a link, with keys and settings in the directory of the benchmarks; nothing of the system's is
//! read or changed. `tests/link/ssh-baseline.sh` does the same by hand.
//!
//! Failure contract: where ssh is not installed, [`Sshd::prepare`] says what is missing. A server that was started ends with its value.

use crate::Result;
use crate::place::{Place, find_program};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use woof_link::Link;

const PORT: u16 = 22;

/// What a server needs.
pub(super) struct Sshd {
    dir: PathBuf,
    program: PathBuf,
    ssh: PathBuf,
}

/// A server that runs.
pub(super) struct Running<'a> {
    sshd: &'a Sshd,
    process: Child,
}

impl Sshd {
    pub(super) fn prepare(place: &Place) -> Result<Sshd> {
        let program = find_program("sshd").ok_or("no sshd here (package openssh-server)")?;
        let ssh = find_program("ssh").ok_or("no ssh here (package openssh-client)")?;
        let keygen = find_program("ssh-keygen").ok_or("no ssh-keygen here (package openssh-client)")?;
        let dir = place.path("ssh");
        fs::create_dir(&dir)?;
        for key in ["host", "user"] {
            let status = place
                .other(&keygen)
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.join(key))
                .status()?;
            if !status.success() {
                return Err(format!("ssh-keygen: {status}").into());
            }
        }
        let shown = dir.display();
        // A bash that thinks it is not the first shell does not read the user's .bashrc.
        let config = format!(
            "Port {PORT}\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/user.pub\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nStrictModes no\nUsePAM no\nUseDNS no\n\
             PidFile none\nSetEnv SHLVL=2\nLogLevel ERROR\n"
        );
        fs::write(dir.join("config"), config)?;
        Ok(Sshd { dir, program, ssh })
    }

    /// Starts the server on side B.
    pub(super) fn start(&self, link: &Link) -> Result<Running<'_>> {
        // It wants a directory in /run, and gets a /run that nobody else sees.
        let script = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec \"$0\" -D -e -f \"$1\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(&self.program).arg(self.dir.join("config"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = link.b().enter(|| command.spawn())??;
        let running = Running { sshd: self, process };
        link.b().wait_listening(PORT, Duration::from_secs(20))?;
        Ok(running)
    }
}

impl Running<'_> {
    /// Has a file of the other side sent here, and thrown away.
    pub(super) fn cat(&self, place: &Place, link: &Link, file: &Path) -> Result<()> {
        let mut command = place.other(&self.sshd.ssh);
        command.args(["-F", "none", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]);
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        command.args(["-o", "LogLevel=ERROR", "-i"]).arg(self.sshd.dir.join("user"));
        command.arg(format!("root@{}", link.b().address())).arg(format!("cat '{}'", file.display()));
        let status = link.a().enter(|| command.status())??;
        if status.success() { Ok(()) } else { Err(format!("ssh: {status}").into()) }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // It may have gone already; what it started for a connection ends with the connection.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
