//! JetStream of a NATS server that is started for the benchmark: a stream in a file, and a client that has so many messages
//! under way before it waits for an acknowledgement.
//!
//! Failure contract: a server that does not start, or refuses, is an error with what it said. Dropped, it ends.

use crate::Result;
use crate::place::Place;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Messages that may wait for their acknowledgement.
const UNDER_WAY: u64 = 1_000;

/// A running server and a connection to it.
pub(crate) struct Nats {
    server: Child,
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    line: String,
    out: Vec<u8>,
}

impl Nats {
    /// Starts a server, and makes a stream in a file that keeps all. With `sync` each message is durable before it is
    /// acknowledged, where the server knows how.
    pub(crate) fn start(place: &Place, program: &Path, sync: bool) -> Result<Nats> {
        let dir = place.path(if sync { "nats-sync" } else { "nats" });
        fs::create_dir(&dir)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let always = if sync { "sync_interval: always" } else { "" };
        let shown = dir.display();
        let config = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{shown}/store\" \n {always} }}\n"
        );
        fs::write(dir.join("config"), config)?;
        let said = dir.join("said");
        let mut command = place.other(program);
        command.arg("-c").arg(dir.join("config")).stdout(Stdio::null()).stderr(File::create(&said)?);
        let mut server = command.spawn()?;
        for _ in 0..500 {
            if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                stream.set_nodelay(true)?;
                let answers = BufReader::new(stream.try_clone()?);
                let mut nats = Nats { server, stream, answers, line: String::new(), out: Vec::new() };
                nats.set_up()?;
                return Ok(nats);
            }
            if let Some(status) = server.try_wait()? {
                let said = fs::read_to_string(&said).unwrap_or_default();
                let last = said.lines().last().unwrap_or_default();
                return Err(format!("{}: ended with {status}: {last}", program.display()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        server.kill()?;
        server.wait()?;
        Err(format!("{}: gave no answer for 5 s", program.display()).into())
    }

    fn set_up(&mut self) -> Result<()> {
        self.out.extend_from_slice(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB acks.* 1\r\n");
        let body = "{\"name\":\"bench\",\"subjects\":[\"bench\"],\"storage\":\"file\",\"retention\":\"limits\",\"num_replicas\":1}";
        let request = format!("PUB $JS.API.STREAM.CREATE.bench acks.0 {}\r\n{body}\r\n", body.len());
        self.out.extend_from_slice(request.as_bytes());
        self.flush()?;
        self.acknowledged()
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Waits for one acknowledgement.
    fn acknowledged(&mut self) -> Result<()> {
        loop {
            self.read_line()?;
            if self.line.starts_with("PING") {
                self.out.extend_from_slice(b"PONG\r\n");
                self.flush()?;
            } else if self.line.starts_with("MSG") {
                self.read_line()?;
                if self.line.contains("\"error\"") {
                    return Err(format!("nats-server: refused: {}", self.line.trim()).into());
                }
                return Ok(());
            } else if self.line.starts_with("-ERR") {
                return Err(format!("nats-server: {}", self.line.trim()).into());
            }
        }
    }

    fn read_line(&mut self) -> Result<()> {
        self.line.clear();
        match self.answers.read_line(&mut self.line)? {
            0 => Err("nats-server: closed the connection".into()),
            _ => Ok(()),
        }
    }

    /// Publishes all elements and returns when the last is acknowledged.
    pub(crate) fn append<'a>(
        &mut self,
        elements: impl Iterator<Item = &'a [u8; crate::append::LEN]>,
    ) -> Result<()> {
        let mut under_way = 0;
        for element in elements {
            if under_way == UNDER_WAY {
                self.flush()?;
                // What is there already is taken at once, and sent for together.
                self.acknowledged()?;
                under_way -= 1;
                while under_way > 0 && self.answers.buffer().ends_with(b"\r\n") {
                    self.acknowledged()?;
                    under_way -= 1;
                }
            }
            self.out.extend_from_slice(b"PUB bench acks.1 100\r\n");
            self.out.extend_from_slice(element);
            self.out.extend_from_slice(b"\r\n");
            under_way += 1;
        }
        self.flush()?;
        (0..under_way).try_for_each(|_| self.acknowledged())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // It may have gone already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
