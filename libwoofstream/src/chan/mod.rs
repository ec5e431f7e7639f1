//! Named channels and the readers and writers of streams on file descriptors.
