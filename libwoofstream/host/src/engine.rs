//! Docker's engine, through its API: looks for images, makes containers with our agent in them, and removes them.
//!
//! Failure contract: what the engine refuses is told in one line with the image as its object, and nothing that was made on the way is left.

use bollard::errors::Error as EngineError;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use container::Made as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::future::Future;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use woof_core::error::{Code, Error, Result};
use woof_core::limits::{CONTAINER_PROCESSES_MAX, CONTAINER_START_TIMEOUT};
use woof_core::name::STATE_DIR;
use woof_core::sys;
use woof_local::handler::container::{
    self, AGENT_FLAG, AGENT_SOCKET, COMMANDS_DIR, NAMESPACE, PROGRAM, Spec,
};

/// The program that is the agent in a container.
const AGENT: &str = "woof";

/// What the container of a namespace has, with its directory; and what others of ours have.
const LABEL: &str = "woofstream.namespace";
const OTHER_LABEL: &str = "woofstream.run";

/// Which process made it.
const MAKER_LABEL: &str = "woofstream.maker";

/// How often it is looked whether a container that starts has ended instead.
const LOOK: Duration = Duration::from_millis(200);

/// How long the removal of a container is waited for; it ends without that too.
const REMOVE_LIMIT: Duration = Duration::from_secs(10);

/// Why a container is not started any more.
const STOPPED: &str = "the server stops";

/// What handlers may keep for themselves in a container, in bytes.
const TMP_SIZE: &str = "64m";

/// Docker's engine, or another one with its API.
#[derive(Clone, Copy, Debug, Default)]
pub struct Docker;

impl Docker {
    /// Looks whether an engine answers at an address and has an image.
    ///
    /// # Errors
    /// When it does not, or has not.
    pub fn check(self, address: &str, image: &str) -> Result<()> {
        check_at(Engine::at(address), image)
    }
}

impl container::Engine for Docker {
    fn start(&self, spec: &Spec) -> Result<(Box<dyn container::Made>, OwnedFd)> {
        let (made, control) = start(spec)?;
        Ok((Box::new(made), control))
    }

    fn remove_left(&self, address: &str, namespace: &Path) {
        remove_all(address, namespace);
    }
}

/// A container that was made.
struct Made {
    /// Its name would do, but is free again before the container is gone.
    id: String,
    removed: AtomicBool,
    name: String,
    engine: String,
}

impl container::Made for Made {
    fn name(&self) -> &str {
        &self.name
    }

    /// Removes it.
    fn remove(&self) {
        if self.removed.swap(true, Ordering::Relaxed) {
            return;
        }
        let id = &self.id;
        let engine = Engine { limit: REMOVE_LIMIT, ..Engine::at(&self.engine) };
        if let Err(err) = engine.call(async |docker| remove(&docker, id).await) {
            // Its agent has ended in any case, and it goes with that.
            tracing::warn!(container = id, error = %err, "a container could not be removed");
        }
    }
}

/// Where an engine is, and how long it may take.
#[derive(Clone, Copy)]
struct Engine<'a> {
    address: &'a str,
    limit: Duration,
    /// Set when nobody waits any more.
    stop: Option<&'a AtomicBool>,
}

impl<'a> Engine<'a> {
    fn at(address: &'a str) -> Engine<'a> {
        Engine { address, limit: CONTAINER_START_TIMEOUT, stop: None }
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// Does something at the engine, in a thread of its own: whoever calls may be part of another runtime.
    fn call<T, F>(&self, work: impl FnOnce(bollard::Docker) -> F + Send) -> std::result::Result<T, Refused>
    where
        T: Send,
        F: Future<Output = std::result::Result<T, EngineError>>,
    {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("woof-engine".to_owned())
                .spawn_scoped(scope, || self.talk(work));
            let ended = thread.map_err(|err| self.none(&err))?.join();
            ended.unwrap_or_else(|_| Err(Refused::failed("the talk with the container engine failed")))
        })
    }

    fn talk<T, F>(&self, work: impl FnOnce(bollard::Docker) -> F) -> std::result::Result<T, Refused>
    where
        F: Future<Output = std::result::Result<T, EngineError>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|err| self.none(&err))?;
        let talk = async {
            // What it says of a socket that cannot be used has no reason in it.
            let socket = self.address.trim_start_matches("unix://");
            std::os::unix::net::UnixStream::connect(socket)
                .map_err(|err| self.none(&Error::io("", "", err).text()))?;
            let docker = bollard::Docker::connect_with_host(self.address).map_err(|err| self.none(&err))?;
            let docker = docker.negotiate_version().await.map_err(|err| self.none(&err))?;
            work(docker).await.map_err(Refused::of)
        };
        runtime.block_on(async {
            let (mut talk, until) = (std::pin::pin!(talk), Instant::now() + self.limit);
            loop {
                if let Ok(done) = tokio::time::timeout(LOOK, talk.as_mut()).await {
                    return done;
                }
                if self.is_stopped() {
                    return Err(Refused::failed(STOPPED));
                }
                if Instant::now() >= until {
                    let text = format!("the container engine does not answer within {:?}", self.limit);
                    return Err(Refused::failed(&text));
                }
            }
        })
    }

    fn none(&self, err: &dyn std::fmt::Display) -> Refused {
        let text = format!("no container engine answers at {}: {}", self.address, one_line(&err.to_string()));
        Refused { code: Code::Unreachable, text }
    }
}

/// Why the engine did not do something.
struct Refused {
    code: Code,
    text: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Refused {
    fn failed(text: &str) -> Refused {
        Refused { code: Code::Failed, text: text.to_owned() }
    }

    fn of(err: EngineError) -> Refused {
        match err {
            EngineError::DockerResponseServerError { status_code, message } => {
                let code = if status_code == 404 { Code::NotFound } else { Code::Failed };
                Refused { code, text: format!("the container engine refuses: {}", one_line(&message)) }
            }
            other => Refused {
                code: Code::Failed,
                text: format!("the container engine: {}", one_line(&other.to_string())),
            },
        }
    }

    fn error(self, object: &str) -> Error {
        Error::new(self.code, object, self.text)
    }
}

fn one_line(text: &str) -> String {
    text.trim().replace(['\n', '\r'], " ")
}

/// Looks whether the engine answers and has an image.
fn check_at(engine: Engine<'_>, image: &str) -> Result<()> {
    if image.is_empty() {
        return Err(Error::new(Code::Invalid, "\"\"", "the name of the image is empty"));
    }
    engine
        .call(async |docker| docker.inspect_image(image).await.map(drop))
        .map_err(|refused| no_image(refused, image))
}

fn no_image(refused: Refused, image: &str) -> Error {
    if refused.code == Code::NotFound {
        return Error::new(
            Code::NotFound,
            image,
            "the container engine has no such image: docker pull or docker build it",
        );
    }
    refused.error(image)
}

/// Makes a container and starts it; gives also the connection to its agent.
fn start(spec: &Spec) -> Result<(Made, OwnedFd)> {
    let image = &*spec.settings.image;
    let engine = Engine { stop: Some(&spec.stop), ..Engine::at(&spec.engine) };
    check_at(engine, image)?;
    if (spec.first || !spec.serves)
        && let Err(err) = remove_orphans(engine)
    {
        tracing::warn!(image, error = %err, "containers whose makers were killed could not be removed");
    }
    if let Some(namespace) = spec.namespace.as_ref().filter(|_| spec.first) {
        remove_left(engine, namespace, None).map_err(|refused| refused.error(image))?;
    }
    let failed = |doing: &'static str| move |err: std::io::Error| Error::io(image, doing, err);
    let rendezvous = Rendezvous::new(spec).map_err(failed("make a socket for its agent"))?;
    let program = agent().map_err(|err| err.of(image))?;
    let body = body(spec, &rendezvous.path, &program);
    let name = name(spec);
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    let made =
        |id| Made { id, removed: AtomicBool::new(false), name: name.clone(), engine: spec.engine.clone() };
    let created = engine
        .call(async |docker| docker.create_container(Some(options), body).await.map(|created| created.id));
    let made = match created {
        Ok(id) => made(id),
        Err(refused) => {
            // The engine may have made it and not come to say so: it has its name by then.
            made(name.clone()).remove();
            return Err(refused.error(image));
        }
    };
    let started = engine
        .call(async |docker| docker.start_container(&made.id, None).await)
        .map_err(|refused| refused.error(image))
        .and_then(|()| rendezvous.accept(engine, &made, image));
    match started {
        Ok(control) => {
            // One that a server which was killed had asked for may have come only now; it was never started, so it does not end by itself.
            if let Some(namespace) = spec.namespace.as_ref().filter(|_| spec.first)
                && let Err(err) = remove_left(engine, namespace, Some(&made.name))
            {
                tracing::warn!(image, error = %err, "what an earlier server left could not be removed");
            }
            Ok((made, control))
        }
        Err(err) => {
            made.remove();
            Err(err)
        }
    }
}

/// The program that is the agent: the `woof` beside this one.
fn agent() -> Result<PathBuf> {
    let own =
        std::fs::read_link("/proc/self/exe").map_err(|err| Error::io("", "find our own program", err))?;
    let text = if !own.exists() {
        format!("our own program was replaced since it was started ({}): start it again", own.display())
    } else {
        let agent = own.with_file_name(AGENT);
        if agent.exists() {
            return Ok(agent);
        }
        format!(
            "{} is not there: it is the agent in a container, and belongs beside {}",
            agent.display(),
            own.display()
        )
    };
    Err(Error::new(Code::Removed, "", text))
}

/// A name that a person finds again, with a part that no other has.
fn name(spec: &Spec) -> String {
    let of = spec.namespace.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let of: String =
        of.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).take(40).collect();
    let of = if of.is_empty() { "run" } else { &of };
    format!("woof-{of}-{:08x}", sys::random_u64() >> 32)
}

fn body(spec: &Spec, socket: &Path, program: &Path) -> ContainerCreateBody {
    let settings = &spec.settings;
    let bind = |source: &Path, target: &str, read_only: bool| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    };
    let mut mounts = vec![bind(program, PROGRAM, true), bind(socket, AGENT_SOCKET, true)];
    if let Some(namespace) = &spec.namespace {
        let state = namespace.join(STATE_DIR);
        mounts.push(bind(namespace, NAMESPACE, false));
        // What the namespace keeps for itself: which handlers run, who may do what.
        mounts.push(bind(&state, &format!("{NAMESPACE}/{STATE_DIR}"), true));
        // Whoever could call the server would be the owner of the namespace there.
        let socket = state.join("server.sock");
        if socket.exists() {
            mounts.push(bind(Path::new("/dev/null"), &format!("{NAMESPACE}/{STATE_DIR}/server.sock"), true));
        }
    }
    let tmpfs = |options: &str| format!("rw,nosuid,nodev,{options}");
    let (uid, gid) = spec.user;
    let host = HostConfig {
        mounts: Some(mounts),
        tmpfs: Some(HashMap::from([
            (COMMANDS_DIR.to_owned(), tmpfs("noexec,size=1m,mode=1777")),
            ("/tmp".to_owned(), tmpfs(&format!("size={TMP_SIZE},mode=1777"))),
        ])),
        network_mode: (!settings.network).then(|| "none".to_owned()),
        memory: i64::try_from(settings.memory).ok(),
        // No swap beyond that.
        memory_swap: i64::try_from(settings.memory).ok(),
        #[expect(clippy::cast_possible_truncation, reason = "settings are at most 1024 processors")]
        nano_cpus: Some((settings.cpus * 1e9) as i64),
        pids_limit: Some(CONTAINER_PROCESSES_MAX),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(true),
        auto_remove: Some(true),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            ..RestartPolicy::default()
        }),
        // What handlers write goes to the server; the agent says nothing.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    };
    let of = spec.namespace.as_deref().map_or_else(String::new, |namespace| namespace.display().to_string());
    ContainerCreateBody {
        image: Some(settings.image.clone()),
        entrypoint: Some(vec![PROGRAM.to_owned(), AGENT_FLAG.to_owned()]),
        cmd: Some(Vec::new()),
        user: Some(format!("{uid}:{gid}")),
        working_dir: Some(if spec.namespace.is_some() { NAMESPACE } else { "/tmp" }.to_owned()),
        labels: Some(HashMap::from([
            (if spec.serves { LABEL } else { OTHER_LABEL }.to_owned(), of),
            (MAKER_LABEL.to_owned(), sys::own_identity()),
        ])),
        stop_signal: Some("SIGKILL".to_owned()),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// Removes what servers of a namespace left.
fn remove_all(address: &str, namespace: &Path) {
    let engine = Engine { limit: REMOVE_LIMIT, ..Engine::at(address) };
    if let Err(err) = remove_left(engine, namespace, None) {
        tracing::warn!(namespace = %namespace.display(), error = %err, "containers that were left could not be removed");
    }
}

/// Removes the containers that an earlier server of a namespace left, all but the one of a name.
fn remove_left(engine: Engine<'_>, namespace: &Path, but: Option<&str>) -> std::result::Result<(), Refused> {
    let label = format!("{LABEL}={}", namespace.display());
    let filters = HashMap::from([("label", vec![&*label])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    engine.call(async |docker| {
        for container in docker.list_containers(Some(options)).await? {
            let names = container.names.unwrap_or_default();
            let is_kept = but.is_some_and(|but| names.iter().any(|name| name.trim_start_matches('/') == but));
            if let Some(id) = container.id.filter(|_| !is_kept) {
                remove(&docker, &id).await?;
            }
        }
        Ok(())
    })
}

/// Removes the containers whose makers were killed before they started them, so that no agent would end them.
fn remove_orphans(engine: Engine<'_>) -> std::result::Result<(), Refused> {
    let filters = HashMap::from([("label", vec![MAKER_LABEL]), ("status", vec!["created"])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    engine.call(async |docker| {
        for container in docker.list_containers(Some(options)).await? {
            let labels = container.labels.unwrap_or_default();
            let is_orphan = labels.get(MAKER_LABEL).is_some_and(|maker| sys::is_gone(maker));
            let Some(id) = container.id.filter(|_| is_orphan) else { continue };
            remove(&docker, &id).await?;
            // Its agent would have called there, and nobody else does.
            let mounts = container.mounts.unwrap_or_default().into_iter();
            let of_agent = mounts.filter(|mount| mount.destination.as_deref() == Some(AGENT_SOCKET));
            for socket in of_agent.filter_map(|mount| mount.source) {
                let _ = std::fs::remove_file(socket);
            }
        }
        Ok(())
    })
}

/// Removes a container; gives when it is gone, whoever removes it.
async fn remove(docker: &bollard::Docker, id: &str) -> std::result::Result<(), EngineError> {
    let options = || RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    let until = Instant::now() + REMOVE_LIMIT / 2;
    loop {
        match docker.remove_container(id, Some(options())).await {
            Ok(()) => return Ok(()),
            Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => return Ok(()),
            // It is being removed, or ends at this moment.
            Err(EngineError::DockerResponseServerError { status_code: 409 | 500, .. })
                if Instant::now() < until =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(err) => return Err(err),
        }
    }
}

/// Removes the sockets of servers that were killed before their agent had called. Of a namespace only one server runs the handlers.
fn remove_sockets(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("agent-") && name.ends_with(".sock")) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A socket at which the agent of a container calls, once.
struct Rendezvous {
    listener: OwnedFd,
    path: PathBuf,
}

impl Rendezvous {
    fn new(spec: &Spec) -> std::io::Result<Rendezvous> {
        let dir = spec.socket_dir.canonicalize()?;
        if spec.namespace.is_some() {
            remove_sockets(&dir);
        }
        let file = format!("agent-{:08x}.sock", sys::random_u64() >> 32);
        let path = dir.join(&file);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        // However long the path is, that of the descriptor is short.
        let opened = File::open(&dir)?;
        let short = format!("/proc/self/fd/{}/{file}", opened.as_raw_fd());
        bind(&listener, &SocketAddrUnix::new(short)?)?;
        let made = Rendezvous { listener, path };
        listen(&made.listener, 1)?;
        std::fs::set_permissions(&made.path, Permissions::from_mode(0o600))?;
        let (uid, gid) = spec.user;
        if rustix::process::geteuid().as_raw() != uid {
            std::os::unix::fs::chown(&made.path, Some(uid), Some(gid))?;
        }
        Ok(made)
    }

    /// Waits until the agent calls.
    fn accept(&self, engine: Engine<'_>, made: &Made, image: &str) -> Result<OwnedFd> {
        let until = Instant::now() + CONTAINER_START_TIMEOUT;
        loop {
            let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
            let _ = poll(&mut polled, Some(&woof_core::sys::timespec(LOOK)));
            match accept_with(&self.listener, SocketFlags::CLOEXEC) {
                Ok(control) => return Ok(control),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(err) => return Err(Error::io(image, "wait for its agent", std::io::Error::from(err))),
            }
            let seen = engine
                .call(async |docker| {
                    docker.inspect_container(&made.id, None::<InspectContainerOptions>).await
                })
                .map_err(|refused| refused.error(image))
                .or_else(
                    |err| if err.code() == Code::NotFound { Ok(Default::default()) } else { Err(err) },
                )?;
            let state = seen.state;
            if !state.as_ref().is_some_and(|state| state.running.unwrap_or(false)) {
                let text = "the agent in the container ended at once: unless our program was built static (make build), \
                            the image needs its shared libraries";
                return Err(Error::new(Code::Failed, image, text));
            }
            if Instant::now() >= until {
                let text =
                    format!("the agent in the container did not call within {CONTAINER_START_TIMEOUT:?}");
                return Err(Error::new(Code::Failed, image, text));
            }
        }
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        // Nobody else is to call.
        let _ = std::fs::remove_file(&self.path);
    }
}
