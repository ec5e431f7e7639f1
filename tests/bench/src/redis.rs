//! A Redis server of our own beside the benchmark, that answers when what it was given is durable.

use crate::Result;
use crate::place::Place;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// What a server does before it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Keeps the elements in memory.
    None,
    /// Makes its log durable.
    Always,
}

/// A running server and a connection to it. Dropped, it ends.
pub(crate) struct Redis {
    server: Child,
    stream: UnixStream,
    request: Vec<u8>,
}

impl Redis {
    /// Starts a server in the directory of the benchmarks.
    pub(crate) fn start(place: &Place, program: &Path, durability: Durability) -> Result<Redis> {
        let always = durability == Durability::Always;
        let dir = place.path(if always { "redis" } else { "redis in memory" });
        // Two groups of rows may ask for one.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir)?;
        let socket = dir.join("socket");
        let mut server = place.other(program);
        server.args(["--port", "0", "--save", "", "--appendfsync", "always"]);
        server.args(["--appendonly", if always { "yes" } else { "no" }]);
        server.args(["--auto-aof-rewrite-percentage", "0"]);
        server.arg("--dir").arg(&dir).arg("--unixsocket").arg(&socket);
        let mut server = server.stderr(Stdio::null()).spawn()?;
        for _ in 0..500 {
            if let Ok(stream) = UnixStream::connect(&socket) {
                return Ok(Redis { server, stream, request: Vec::new() });
            }
            if let Some(status) = server.try_wait()? {
                return Err(format!("{}: ended with {status}", program.display()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        server.kill()?;
        server.wait()?;
        Err(format!("{}: gave no answer for 5 s", program.display()).into())
    }

    /// Appends all elements to a stream and returns when the last is acknowledged.
    pub(crate) fn append<'a>(
        &mut self,
        elements: impl Iterator<Item = &'a [u8; crate::append::LEN]>,
    ) -> Result<()> {
        self.request.clear();
        let mut lines = 0;
        for element in elements {
            self.request.extend_from_slice(b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nv\r\n$100\r\n");
            self.request.extend_from_slice(element);
            self.request.extend_from_slice(b"\r\n");
            // The length of the id, and the id.
            lines += 2;
        }
        self.stream.write_all(&self.request)?;
        let mut answer = [0; 16 << 10];
        while lines > 0 {
            let count = self.stream.read(&mut answer)?;
            let answer = &answer[..count];
            if count == 0 || answer.contains(&b'!') || answer.starts_with(b"-") {
                return Err(format!("redis-server: refused: {}", String::from_utf8_lossy(answer)).into());
            }
            lines -= answer.iter().filter(|byte| **byte == b'\n').count().min(lines);
        }
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have gone already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
