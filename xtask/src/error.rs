//! What can go wrong in a command itself; a broken rule or a failed test is not an error but a result.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a command could not do its work.
#[derive(Debug, Error)]
pub enum XtaskError {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(&'static str),
    /// A program could not be started.
    #[error("cannot run {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed: {said}")]
    Failed {
        /// The program.
        program: String,
        /// What it wrote to its standard error.
        said: String,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or a program's output has not the form that is expected.
    #[error("{what}: {problem}")]
    Form {
        /// Which.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl XtaskError {
    /// For `map_err` on a file operation.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// For `map_err` on starting a program.
    pub fn start(program: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let program = program.into();
        move |source| Self::Start { program, source }
    }

    /// For `map_err` on a parser.
    pub fn form<E: ToString>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |e| Self::Form {
            what,
            problem: e.to_string(),
        }
    }
}
