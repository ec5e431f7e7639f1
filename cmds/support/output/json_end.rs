//! The end of a stream as a JSON line, for who asks for one: `{"type":"end","status":"ok"}`, or with the status `error` and the
//! members of an error. JSON lines that stop without it are cut, which a reader cannot see where no end was asked for.

use super::json::fault_members;
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::wire::Fault;

/// Appends the line of an end with this status.
pub(super) fn line(status: std::result::Result<(), &Fault>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"end\",\"status\":");
    match status {
        Ok(()) => out.extend_from_slice(b"\"ok\""),
        Err(fault) => {
            out.extend_from_slice(b"\"error\"");
            fault_members(fault, out);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// The status that such a line tells, whose error is `fault` if it is one.
///
/// # Errors
/// When it tells none.
pub(super) fn read(status: &str, fault: Fault) -> Result<std::result::Result<(), Fault>> {
    match status {
        "ok" => Ok(Ok(())),
        "error" => Ok(Err(fault)),
        _ => Err(Error::new(Code::Invalid, "", "\"status\" of an end is neither \"ok\" nor \"error\"")),
    }
}
