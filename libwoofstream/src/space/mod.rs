//! Name spaces: what stands behind a name.
