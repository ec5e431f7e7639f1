//! Every limit of the project, in one place. Each is checked before memory is taken.

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

/// The most channels that `WOOF_CHANNELS` may name.
pub const CHANNELS_MAX: usize = 64;

/// The longest text of a predicate, in bytes.
pub const EXPRESSION_MAX: usize = 64 << 10;

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
