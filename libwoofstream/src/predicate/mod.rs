//! Predicates: one expression language (CEL) wherever elements, woofs or files are selected.
