//! Every limit of the project, in one place. Each is checked before memory is taken.

use std::time::Duration;

/// The largest payload of one frame, in bytes. A writer continues longer payloads in further frames.
pub const FRAME_PAYLOAD_MAX: usize = 1 << 20;

/// The largest message a reader assembles by default, in bytes: the largest element with what stands before it.
pub const MESSAGE_MAX: usize = (1 << 30) + (1 << 10);

/// The largest structured message (`Dir`, `Addr`, `Err`, end status), in bytes.
pub const STRUCTURED_MAX: usize = 1 << 20;

/// The deepest nesting inside a structured message.
pub const STRUCTURED_DEPTH_MAX: usize = 32;

/// The longest name of an application type, a woof or a channel, in bytes.
pub const NAME_MAX: usize = 255;

/// The longest path of a woof as given by a user, in bytes.
pub const PATH_MAX: usize = 4095;

/// The longest name table, in bytes.
pub const NAME_TABLE_MAX: usize = 1 << 20;

/// The most targets of one prefix in a name table.
pub const NAME_TARGETS_MAX: usize = 64;

/// The most names that a find over a union remembers, so that none is shown twice.
pub const UNION_NAMES_MAX: usize = 1 << 20;

/// How many directories below the place where it begins a find looks. Each has a descriptor.
pub const FIND_DEPTH_MAX: u64 = 512;

/// The most channels that `WOOF_CHANNELS` may name.
pub const CHANNELS_MAX: usize = 64;

/// The longest text of a predicate, in bytes.
pub const EXPRESSION_MAX: usize = 64 << 10;

/// The most steps that a server takes to evaluate a predicate of a client for one element, unless it is told otherwise.
pub const STEPS_MAX: u64 = 1_000_000;

/// The most elements a woof may be told to keep.
pub const HISTORY_MAX: u64 = 1 << 36;

/// The most payload bytes a woof may be told to keep.
pub const CAPACITY_MAX: u64 = 1 << 44;

/// The smallest capacity of a woof, in bytes.
pub const CAPACITY_MIN: u64 = 4 << 10;

/// The largest element of any woof, in bytes.
pub const ELEMENT_MAX: u64 = 1 << 30;

/// The most processes (strictly: open appenders) that may append to one woof at once.
pub const APPENDERS_MAX: u32 = 1024;

/// The largest payload of a frame of the protocol, in bytes.
pub const NET_FRAME_MAX: usize = 128 << 10;

/// The largest request of the protocol, in bytes.
pub const REQUEST_MAX: usize = 96 << 10;

/// The most exchanges that a client may have open on one connection, unless the server is told otherwise.
pub const EXCHANGES_MAX: usize = 256;

/// The most TLS handshakes that a server has under way at once, unless it is told otherwise.
pub const HANDSHAKES_MAX: usize = 512;

/// The credit that a client has for what it sends in each exchange, without being told, in bytes.
pub const PUT_CREDIT: u32 = 1 << 20;

/// What the credit for a put is raised to once the server has it open, in bytes.
pub const PUT_WINDOW: u32 = 4 << 20;

/// The credit that our clients give for an answer, in bytes: a link of 100 ms carries 80 MB/s with it.
pub const ANSWER_WINDOW: u32 = 8 << 20;

/// No credit adds up to more than this, in bytes.
pub const CREDIT_MAX: u64 = 1 << 31;

/// The largest element that a server takes from a client, in bytes, unless it is told otherwise.
pub const REMOTE_ELEMENT_MAX: usize = 64 << 20;

/// The most connections at once that ask a server for its metrics.
pub const SCRAPES_MAX: usize = 16;

/// The largest request for metrics, in bytes.
pub const SCRAPE_REQUEST_MAX: usize = 16 << 10;

/// The longest name of a user or a group, in bytes.
pub const PERSON_MAX: usize = 64;

/// The most groups of one identity.
pub const GROUPS_MAX: usize = 64;

/// The most names of one host certificate.
pub const HOST_NAMES_MAX: usize = 64;

/// The largest access list of a namespace, in bytes.
pub const ACCESS_MAX: u64 = 1 << 20;

/// The largest file with keys, certificates or revoked serial numbers, in bytes.
pub const KEY_FILE_MAX: u64 = 4 << 20;

/// The longest time for which a certificate is made, in days.
pub const DAYS_MAX: u32 = 36_500;

/// The most TLS sessions that a server keeps for resumption, by default.
pub const TLS_SESSIONS: usize = 2048;

/// The most bindings of one namespace.
pub const BINDINGS_MAX: usize = 256;

/// The largest file of bindings, in bytes.
pub const BINDINGS_FILE_MAX: u64 = 16 << 20;

/// The most attempts of handlers of one namespace at once.
pub const ATTEMPTS_MAX: usize = 64;

/// The most triggers of one binding that were found and are not done; more stay in the woof.
pub const TRIGGERS_OPEN_MAX: usize = 1024;

/// The most output of one attempt that goes to the log, in bytes.
pub const HANDLER_LOGGED_MAX: u64 = 1 << 20;

/// The most output of one attempt that is appended to a woof, in bytes.
pub const HANDLER_OUTPUT_MAX: u64 = 16 << 20;

/// The most descriptors that a handler may have open.
pub const HANDLER_DESCRIPTORS_MAX: u64 = 1024;

/// The address space of a program for which none is said, in bytes.
pub const HANDLER_MEMORY: u64 = 4 << 30;

/// The largest file of container settings, in bytes.
pub const CONTAINER_FILE_MAX: u64 = 64 << 10;

/// How long a container may take to start, or to be gone.
pub const CONTAINER_START_TIMEOUT: Duration = Duration::from_secs(60);

/// The most processes and threads in a container.
pub const CONTAINER_PROCESSES_MAX: i64 = 4096;

/// The most arguments and environment of a program in a container, in bytes.
pub const ORDER_MAX: usize = 128 << 10;

/// The most programs that run in a container at once: attempts, and one long-lived handler of each binding.
pub const AGENT_THREADS_MAX: usize = 2 * ATTEMPTS_MAX + BINDINGS_MAX;

/// The most arguments of a handler that is run on demand.
pub const RUN_ARGS_MAX: usize = 1024;

/// The most bytes of all arguments of a handler that is run on demand.
pub const RUN_ARGS_BYTES_MAX: usize = 64 << 10;

/// The most handlers that a server runs on demand at once, unless it is told otherwise.
pub const RUNS_MAX: usize = 64;

/// The most of them that one user has, unless it is told otherwise.
pub const RUNS_OF_USER_MAX: usize = 16;

/// The largest message of what a client sends to a handler that runs on demand, in bytes.
pub const RUN_MESSAGE_MAX: usize = 1 << 20;

/// The most directories under a served directory that are watched for bindings.
pub const WATCHED_DIRS_MAX: usize = 65_536;

/// So far ahead of the clock the time of an element may be, in nanoseconds: clocks of machines differ.
pub const CLOCK_AHEAD_NS: u64 = 60_000_000_000;

/// The most times that the clock of a woof can be reset within the elements that it keeps.
pub const CLOCK_BREAKS_MAX: usize = 8;
