//! `wserve` under a service manager, and in a container. What this machine does not have is skipped aloud.

use crate::server::{Serving, http, local, ready, tell, until};
use crate::support::{Sandbox, woof};
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use woof_kit::{skip, works};

fn deploy(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy").join(file)
}

/// `wserve srv` with sockets handed over: descriptors 3 and on, by their names. The shell that becomes it puts them there.
fn activated(sandbox: &Sandbox, sockets: &[(&str, &dyn std::os::fd::AsRawFd)], args: &str) -> Command {
    use std::fmt::Write as _;
    let mut script = String::new();
    for (place, (_, socket)) in sockets.iter().enumerate() {
        write!(script, "exec {}<&{}; ", place + 3, socket.as_raw_fd()).unwrap();
    }
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    write!(
        script,
        "export LISTEN_PID=$$ LISTEN_FDS={} LISTEN_FDNAMES={}; exec wserve srv {args}",
        sockets.len(),
        names.join(":")
    )
    .unwrap();
    let mut command = sandbox.command("bash");
    command.args(["-c", &script]);
    command
}

/// Lets programs that are started inherit a socket, at a number that the shell does not use.
fn inheritable(socket: impl std::os::fd::AsFd) -> std::os::fd::OwnedFd {
    let high = rustix::io::fcntl_dupfd_cloexec(&socket, 20).unwrap();
    rustix::io::fcntl_setfd(&high, rustix::io::FdFlags::empty()).unwrap();
    high
}

#[test]
fn sockets_that_are_handed_over_are_served_and_the_manager_is_told() {
    let sandbox = ready();
    let notify = UnixDatagram::bind(sandbox.dir().join("notify")).unwrap();
    notify.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let tls = TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = std::os::unix::net::UnixListener::bind(sandbox.dir().join("other.sock")).unwrap();
    let (tls_address, metrics_address) = (tls.local_addr().unwrap(), metrics.local_addr().unwrap());
    let (tls, metrics, unix) = (inheritable(&tls), inheritable(&metrics), inheritable(&unix));
    let mut command = activated(&sandbox, &[("tls", &tls), ("unix", &unix), ("metrics", &metrics)], "");
    command.env("NOTIFY_SOCKET", sandbox.dir().join("notify"));
    let serving = Serving::of(&mut command);
    let told = || {
        let mut buffer = [0; 256];
        let len = notify.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).trim().to_owned()
    };
    assert_eq!(told(), "READY=1");
    assert_eq!(serving.address, tls_address.to_string());
    let name = serving.name("farm/temp");
    tell(&sandbox, &["wput", "--create", &name, "1"], b"").done();
    // Its own socket is there too.
    assert_eq!(sandbox.run("wget", &[&local(&sandbox, "farm/temp"), "..", "-u"], b"").done(), "1\n");
    assert!(std::os::unix::net::UnixStream::connect(sandbox.dir().join("other.sock")).is_ok());
    let metrics = http(&metrics_address.to_string(), "/metrics");
    assert!(metrics.contains("\nwoofstream_elements_put_total 1\n"));
    serving.stop();
    assert_eq!(told(), "STOPPING=1");

    // The port is held while no server is there: who connects waits, and is served by the next one.
    let mut waiting = sandbox.command("wget");
    waiting.args([&name, "..", "-u"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    let serving = Serving::of(&mut activated(&sandbox, &[("", &tls)], ""));
    assert_eq!(woof_kit::ended(waiting).stdout, b"1\n");
    serving.stop();
}

#[test]
fn the_servers_own_socket_can_be_handed_over_and_stays() {
    let sandbox = ready();
    fs::create_dir(sandbox.dir().join("srv/.woof")).unwrap();
    let path = sandbox.dir().join("srv/.woof/server.sock");
    let unix = inheritable(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let serving = Serving::of(&mut activated(&sandbox, &[("unix", &unix)], ""));
    let name = local(&sandbox, "farm/temp");
    tell(&sandbox, &["wput", "--create", &name, "1"], b"").done();
    serving.stop();
    assert!(path.exists());
    let serving = Serving::of(&mut activated(&sandbox, &[("unix", &unix)], ""));
    assert_eq!(sandbox.run("wget", &[&name, "..", "-u"], b"").done(), "1\n");
    serving.stop();
}

#[test]
fn what_is_handed_over_and_is_no_listening_socket_is_refused() {
    let sandbox = ready();
    let tcp = inheritable(TcpListener::bind("127.0.0.1:0").unwrap());
    let file = inheritable(fs::File::open(sandbox.dir().join("srv")).unwrap());
    let everywhere = inheritable(TcpListener::bind("0.0.0.0:0").unwrap());
    for (socket, name, args, text) in [
        (&tcp, "unix", "", "LISTEN_FDS: unix (descriptor 3): is a TCP socket, and its name says unix\n"),
        (&file, "tls", "", "LISTEN_FDS: tls (descriptor 3): is no socket that listens\n"),
        (&everywhere, "tls", "--insecure", "only loopback addresses are allowed\n"),
    ] {
        let output = woof_kit::output(&mut activated(&sandbox, &[(name, socket)], args));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.ends_with(text), "{said}");
    }
}

#[test]
fn the_units_hold() {
    if !works("systemd-analyze", &["--version"]) {
        return skip("the units: needs systemd-analyze");
    }
    let sandbox = Sandbox::new();
    // Names the program where it is, since it is not installed here.
    for unit in ["woof.service", "woof.socket"] {
        let text = fs::read_to_string(deploy(unit)).unwrap();
        let text =
            text.replace("/usr/local/bin/woof", woof()).replace("man:wserve(1)", "https://example.com");
        fs::write(sandbox.dir().join(unit), text).unwrap();
    }
    let run = sandbox.sh("systemd-analyze verify ./woof.service ./woof.socket");
    let ours: Vec<&str> = run.stderr.lines().filter(|line| line.contains("woof")).collect();
    assert_eq!((run.status, ours), (0, Vec::new()), "{}", run.stderr);
}

/// An image and its container, removed when this ends.
struct Image {
    tag: String,
}

impl Drop for Image {
    fn drop(&mut self) {
        works("docker", &["rm", "-f", &self.tag]);
        works("docker", &["image", "rm", "-f", &format!("{}:latest", self.tag)]);
    }
}

impl Image {
    /// The image of the container file: nothing but the two binaries, here with the libraries that test binaries need.
    fn new() -> Image {
        let root = woof_kit::tempdir().unwrap();
        let woofd = env!("CARGO_BIN_EXE_woofd");
        fs::copy(woof(), root.path().join("woof")).unwrap();
        fs::copy(woofd, root.path().join("woofd")).unwrap();
        let needed = woof_kit::output(woof_kit::command("ldd").arg(woofd));
        for word in String::from_utf8_lossy(&needed.stdout).split_whitespace() {
            if let Some(inside) = word.strip_prefix('/') {
                let copy = root.path().join(inside);
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::copy(word, copy).unwrap();
            }
        }
        let image = Image { tag: format!("woofstream-serve-{}", std::process::id()) };
        // What the container file says, in the words of an import.
        let file = fs::read_to_string(deploy("Containerfile")).unwrap();
        let mut changes = Vec::new();
        for line in file.lines() {
            if ["ENV ", "USER ", "ENTRYPOINT ", "CMD ", "EXPOSE ", "VOLUME "]
                .iter()
                .any(|word| line.starts_with(word))
            {
                changes.extend(["-c".to_owned(), line.to_owned()]);
            }
        }
        let mut tar = woof_kit::command("tar");
        let mut tar =
            tar.arg("-c").arg("-C").arg(root.path()).arg(".").stdout(Stdio::piped()).spawn().unwrap();
        let mut docker = woof_kit::command("docker");
        docker.arg("import").args(&changes).args(["-", &format!("{}:latest", image.tag)]);
        let imported = woof_kit::output(docker.stdin(tar.stdout.take().unwrap()));
        assert!(woof_kit::wait(&mut tar).success());
        assert!(imported.status.success(), "{imported:?}");
        image
    }
}

#[test]
fn a_server_in_a_container_serves_a_directory_of_the_host() {
    if !works("docker", &["info"]) || !works("ldd", &["--version"]) {
        return skip("needs Docker");
    }
    let sandbox = ready();
    let image = Image::new();
    let srv = sandbox.dir().join("srv").canonicalize().unwrap();
    let user = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let mut docker = woof_kit::command("docker");
    docker
        .args(["run", "-d", "--network", "none", "--read-only", "--cap-drop", "ALL", "--user", &user])
        .args([
            "--name",
            &image.tag,
            "-v",
            &format!("{}:/woofs", srv.display()),
            &format!("{}:latest", image.tag),
        ]);
    let started = woof_kit::output(&mut docker);
    assert!(started.status.success(), "{started:?}");
    let logs = || {
        let logs = woof_kit::output(woof_kit::command("docker").args(["logs", &image.tag]));
        String::from_utf8_lossy(&logs.stderr).into_owned()
    };
    until("the container serves", || {
        let log = logs();
        assert!(!log.contains("wserve: "), "{log}");
        log.contains("serving")
    });
    if !srv.join(".woof/server.sock").exists() {
        return skip("needs a Docker that sees the directories of this machine");
    }
    let name = local(&sandbox, "farm/temp");
    tell(&sandbox, &["wcreate", &name], b"").done();
    tell(&sandbox, &["wput", &name], b"1\n2\n3\n").done();
    assert_eq!(sandbox.run("wget", &[&name, "-2..", "-u"], b"").done(), "2\n3\n");
    // It is the same file: programs of the host need no server.
    assert_eq!(sandbox.run("wget", &["srv/farm/temp", "..", "-u"], b"").done(), "1\n2\n3\n");
    let stopped = woof_kit::output(woof_kit::command("docker").args(["stop", &image.tag]));
    assert!(stopped.status.success(), "{stopped:?}");
    let mut inspect = woof_kit::command("docker");
    let state = woof_kit::output(inspect.args(["inspect", "-f", "{{.State.ExitCode}}", &image.tag]));
    assert_eq!(String::from_utf8_lossy(&state.stdout).trim(), "0", "{}", logs());
    assert!(logs().contains("stopped accepted="), "{}", logs());
}
