//! The runner of each namespace: its container, where it wants one, or processes of this machine.
//!
//! One for each namespace, whoever asks: the dispatcher, and whoever runs a handler on demand, use the same container. It is started when it is first
//! needed, and started again when it has ended.
//!
//! A namespace below one that has a container runs in that one's, whatever it says itself: handlers in there can write all of it, its settings too, or make it.
//!
//! Failure contract: a handler that is to run in a container never runs outside of one. What keeps the container from being started is no failure of a handler, and is
//! found out once for all that wait for it.

use super::environment;
use super::groups::Groups;
use super::process::{Mark, ProcessRunner, kill_left};
use super::program::program;
use super::run::{Failure, ON_DEMAND, Outcome, Run, Running, Started};
use super::runner::Runner;
use super::seals::Seals;
use crate::handler::container::{Container, Ended, Engine, NAMESPACE, Program, Remote, Settings, Spec};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use woof_core::error::{Code, Error, Result};
use woof_core::name::{STATE_DIR, StateDir};
use woof_space::RunOptions;

/// After a container could not be started it is not tried again for so long.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Where the container engine is.
fn address(options: &RunOptions) -> &str {
    options.engine.as_deref().unwrap_or(crate::handler::container::DEFAULT_ENGINE)
}

/// The runners of all namespaces.
pub struct Runners {
    options: RunOptions,
    engine: Arc<dyn Engine>,
    /// What of all of them runs as processes.
    groups: Arc<Groups>,
    seals: Arc<Seals>,
    known: Mutex<HashMap<PathBuf, Arc<NamespaceRunner>>>,
}

impl std::fmt::Debug for Runners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runners").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Runners {
    /// None yet; `engine` makes the containers.
    pub fn new(options: RunOptions, engine: Arc<dyn Engine>) -> Runners {
        let seals = Arc::new(Seals::new());
        Runners { options, engine, groups: Arc::default(), seals, known: Mutex::default() }
    }

    /// The runner of a namespace, given by its directory. Its container ends with [`Runners::end_all`], or with these.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn of(&self, namespace: &Path) -> Result<Arc<dyn Runner>> {
        let namespace =
            namespace.canonicalize().map_err(|err| Error::io(namespace.display().to_string(), "", err))?;
        Ok(self.of_exactly(&namespace))
    }

    /// As [`Runners::of`], of a path without links.
    pub fn of_exactly(&self, namespace: &Path) -> Arc<dyn Runner> {
        self.known(&mut locked(&self.known), namespace)
    }

    fn known(
        &self,
        known: &mut HashMap<PathBuf, Arc<NamespaceRunner>>,
        namespace: &Path,
    ) -> Arc<NamespaceRunner> {
        if let Some(runner) = known.get(namespace) {
            return Arc::clone(runner);
        }
        let runner = Arc::new(NamespaceRunner {
            namespace: namespace.to_owned(),
            above: namespace.parent().map(|above| self.known(known, above)),
            options: self.options.clone(),
            engine: Arc::clone(&self.engine),
            process: ProcessRunner {
                path: self.options.path.clone(),
                groups: Arc::clone(&self.groups),
                seals: Arc::clone(&self.seals),
            },
            state: Mutex::default(),
            stop: Arc::default(),
        });
        known.insert(namespace.to_owned(), Arc::clone(&runner));
        runner
    }

    /// Whether a handler that runs by these was told that it is so deep, and given this seal for it.
    pub fn told_depth(&self, depth: u8, seal: &str) -> bool {
        self.seals.is(depth, seal)
    }

    /// Has nobody wait any more for containers that are starting; none is started from now on.
    pub fn call_off(&self) {
        locked(&self.known).values().for_each(|runner| runner.stop.store(true, Ordering::Relaxed));
    }

    /// Kills the process groups of all handlers, and has none started any more: for who ends at once. Containers end with this process.
    pub fn kill_all(&self) {
        self.groups.kill_all();
    }

    /// Ends all containers, whoever may still have their runners.
    pub fn end_all(&self) {
        let runners: Vec<_> = locked(&self.known).values().cloned().collect();
        runners.iter().for_each(|runner| runner.end_container());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which file the settings were read from.
type Seen = Option<(u64, i64, i64, u64)>;

#[derive(Default)]
struct State {
    /// The settings that were read, and of which file.
    settings: Option<(Seen, Option<Settings>)>,
    container: Option<Arc<Container>>,
    /// Whether there was one since the last time all were ended.
    any: bool,
    /// Why it could not be started, and when it is tried again.
    failed: Option<(String, Instant)>,
}

/// The runner of one namespace, or of a directory above some, which may be one.
struct NamespaceRunner {
    namespace: PathBuf,
    /// That of the directory above.
    above: Option<Arc<NamespaceRunner>>,
    options: RunOptions,
    engine: Arc<dyn Engine>,
    process: ProcessRunner,
    state: Mutex<State>,
    /// Set once all is to end: nobody waits for a container that is being started.
    stop: Arc<AtomicBool>,
}

impl Runner for NamespaceRunner {
    fn start(&self, run: &Run<'_>, stdin: OwnedFd) -> std::result::Result<Started, Failure> {
        if run.namespace != self.namespace {
            // What leads there changed, which is no reason to have its handlers run as another's do.
            return Err(Failure::NotReady("the namespace is another directory now".to_owned()));
        }
        let Some(place) = self.place()? else { return self.process.start(run, stdin) };
        let program = program(&run.namespace()?, &run.binding.handler)?;
        let path = program.path();
        let inside = |path: &Path| {
            let inside = path.strip_prefix(&place.namespace).ok().and_then(Path::to_str);
            let inside = inside.ok_or("it is not in the container")?;
            Ok::<_, String>(format!("{NAMESPACE}/{inside}").trim_end_matches('/').to_owned())
        };
        let dir = inside(run.namespace)?;
        let program = Program {
            argv: std::iter::once(inside(path)?).chain(run.args.iter().cloned()).collect(),
            env: environment::variables(run, &dir, &self.process.seals)
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            trigger: Some(run.trigger.to_owned()),
            memory: Some(run.binding.memory),
        };
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|err| format!("start: {err}"));
        // One that has ended is found out by asking it; then there is another.
        for last in [false, true] {
            let container = place.container()?;
            let ((stdout, write_out), (stderr, write_err)) = (pipe()?, pipe()?);
            let stdin = stdin.try_clone().map_err(|err| format!("start: {err}"))?;
            match container.run_in(&dir, &program, [stdin, write_out, write_err]) {
                Ok(remote) => {
                    return Ok(Started {
                        running: Box::new(InContainer { remote, ended: None }),
                        stdout,
                        stderr,
                    });
                }
                Err(err) if err.code() == Code::Removed && !last => {}
                Err(err) if err.code() == Code::Removed => {
                    return Err(Failure::NotReady(err.text().to_owned()));
                }
                Err(err) => return Err(Failure::Failed(err.to_string())),
            }
        }
        Err(Failure::NotReady("the container ended again and again".to_owned()))
    }

    fn end_all(&self) {
        kill_left(&self.namespace, None);
        // Whosever container it waits for.
        std::iter::successors(self.above.as_deref(), |above| above.above.as_deref())
            .for_each(|above| above.stop.store(true, Ordering::Relaxed));
        self.end_container();
    }

    fn abandon(&self) {
        let is_of_a_trigger = |mark: &Mark| !mark.trigger.starts_with(ON_DEMAND);
        self.process.groups.kill(|mark| mark.namespace == self.namespace && is_of_a_trigger(mark));
        if !self.namespace.join(STATE_DIR).exists() {
            // With those that left their group, as nobody else has the name.
            kill_left(&self.namespace, None);
        }
        // It has the directory that was there; the next one gets that which is.
        let container = {
            let mut state = locked(&self.state);
            let any = state.any;
            std::mem::replace(&mut *state, State { any, ..State::default() }).container
        };
        if let Some(container) = container {
            container.remove();
        }
    }
}

impl NamespaceRunner {
    fn end_container(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let (container, any) = {
            let mut state = locked(&self.state);
            (state.container.take(), std::mem::take(&mut state.any))
        };
        if let Some(container) = container {
            container.remove();
        }
        // What a killed server had made and not started has no agent that would end it.
        if any && self.options.serves {
            self.engine.remove_left(address(&self.options), &self.namespace);
        }
    }

    /// Whose container its handlers run in, its own or that of a namespace above it; `None`: in none.
    fn place(&self) -> std::result::Result<Option<&NamespaceRunner>, Failure> {
        if let Some(above) = &self.above
            && let Some(place) = above.place_of_those_below()?
        {
            return Ok(Some(place));
        }
        Ok(self.settings(&mut locked(&self.state))?.map(|_| self))
    }

    /// The outermost container whose handlers can write what is below.
    fn place_of_those_below(&self) -> std::result::Result<Option<&NamespaceRunner>, Failure> {
        if let Some(above) = &self.above
            && let Some(place) = above.place_of_those_below()?
        {
            return Ok(Some(place));
        }
        let state = self.namespace.join(STATE_DIR);
        // Without the file it has no settings but those of the server, and without bindings it has no handlers.
        let is_any = |file| state.join(file).symlink_metadata().is_ok();
        if !is_any(crate::handler::container::SETTINGS_FILE)
            && (self.options.image.is_none() || !is_any(crate::handler::files::BINDINGS))
        {
            return Ok(None);
        }
        Ok(self.settings(&mut locked(&self.state))?.map(|_| self))
    }

    /// What the namespace says; `None`: processes.
    fn settings(&self, state: &mut State) -> std::result::Result<Option<Settings>, Failure> {
        let meta =
            std::fs::metadata(self.namespace.join(STATE_DIR).join(crate::handler::container::SETTINGS_FILE))
                .ok();
        let seen = meta.map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()));
        if state.settings.as_ref().is_none_or(|(before, _)| *before != seen) {
            // It goes when nothing of it runs any more.
            *state = State { any: state.any, ..State::default() };
            // What cannot be read now is read again the next time, whether or not the file is another by then.
            let own = self.own_settings().map_err(|err| Failure::NotReady(err.to_string()))?;
            let settings = own.or_else(|| self.options.image.as_deref().map(Settings::of));
            // An empty image is a namespace that wants none.
            state.settings = Some((seen, settings.filter(|settings| !settings.image.is_empty())));
        }
        Ok(state.settings.as_ref().and_then(|(_, settings)| settings.clone()))
    }

    /// What its file says, if it has one.
    fn own_settings(&self) -> Result<Option<Settings>> {
        match StateDir::exactly(&self.namespace) {
            // Not even a namespace.
            Err(err) if err.code() == Code::NotFound => Ok(None),
            state => Settings::load_from(&state?),
        }
    }

    /// The container, started if there is none.
    fn container(&self) -> std::result::Result<Arc<Container>, Failure> {
        let mut state = locked(&self.state);
        let Some(settings) = self.settings(&mut state)? else {
            return Err(Failure::NotReady("the namespace has no container any more".to_owned()));
        };
        if let Some(container) = state.container.as_ref().filter(|container| container.is_there()) {
            return Ok(Arc::clone(container));
        }
        state.container = None;
        if let Some((reason, until)) = &state.failed
            && *until > Instant::now()
        {
            return Err(Failure::NotReady(reason.clone()));
        }
        let namespace = self.namespace.display().to_string();
        let image = settings.image.clone();
        let spec = Spec::of(&self.namespace, settings, address(&self.options));
        let serves = self.options.serves;
        let first = serves && !state.any;
        let spec = spec.map(|spec| Spec { serves, first, stop: Arc::clone(&self.stop), ..spec });
        match spec.and_then(|spec| Container::start(&*self.engine, &spec)) {
            Ok(container) => {
                tracing::info!(namespace, image, container = container.name(), "container started");
                (state.failed, state.any) = (None, true);
                Ok(Arc::clone(state.container.insert(Arc::new(container))))
            }
            Err(err) => {
                let reason = format!("container: {err}");
                state.failed = Some((reason.clone(), Instant::now() + TRY_AGAIN));
                Err(Failure::NotReady(reason))
            }
        }
    }
}

/// A program in the container.
struct InContainer {
    remote: Remote,
    ended: Option<Ended>,
}

impl Running for InContainer {
    fn ended(&self) -> BorrowedFd<'_> {
        self.remote.ended()
    }

    fn end(&mut self) -> Outcome {
        let ended = self.ended.insert(self.remote.end());
        ended.failure().map_or(Ok(()), |why| Err(Failure::Failed(why)))
    }

    fn status(&self) -> Option<u8> {
        self.ended.as_ref().and_then(Ended::status)
    }

    fn kill(&mut self) {
        self.remote.kill();
    }
}
