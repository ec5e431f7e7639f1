//! The stream format: frames and messages. No I/O here.
