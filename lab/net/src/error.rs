//! What can go wrong in the lab, each with a sentence a person can act on.

use std::io;

/// Why a lab could not be built or used.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The kernel or the container refuses a namespace.
    #[error(
        "this machine does not let us make a network namespace ({0}); run as root or allow unprivileged user namespaces"
    )]
    Namespace(String),
    /// `/dev/net/tun` is missing or refused.
    #[error("cannot open a TUN device ({0}); is /dev/net/tun there and permitted?")]
    Tun(io::Error),
    /// A program the lab calls is missing or failed.
    #[error("`{program}` failed: {reason}")]
    Program {
        /// What was run.
        program: String,
        /// What it said.
        reason: String,
    },
    /// The operating system refused something else.
    #[error("{what}: {source}")]
    Os {
        /// What we were doing.
        what: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// The caller asked for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The NAT lab's library reported a failure.
    #[error("the NAT lab could not be built: {0}")]
    Nat(String),
}
