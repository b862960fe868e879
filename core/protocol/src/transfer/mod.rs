//! File transfers: which parts of a file are still to be fetched, in what order, and what survives a restart. Moving the
//! bytes is the driver's. Spec page: `docs/spec/file.md`.

pub mod plan;
