//! Names of woofs.
