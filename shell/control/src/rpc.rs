//! JSON-RPC 2.0 envelopes, one per line, and the errors.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::Command;
use crate::event::Event;

/// The longest line a node or a client reads.
pub const LINE_MAX: usize = 1024 * 1024;

/// One request line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Always "2.0".
    pub jsonrpc: String,
    /// Chosen by the client.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub command: Command,
}

/// One answer line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Always "2.0".
    pub jsonrpc: String,
    /// The request's; null when the request could not be read.
    pub id: Option<u64>,
    /// The view the command promises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Or why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// One unasked line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Always "2.0".
    pub jsonrpc: String,
    /// Always "event".
    pub method: String,
    /// What happened.
    pub params: Event,
}

/// Sort of failure: what a script can branch on. The command line's exit code is [`ErrorKind::exit_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request itself is wrong (unknown command, bad value).
    Usage,
    /// Nobody or nothing of that name.
    NotFound,
    /// More than one; `data` lists the candidates.
    Ambiguous,
    /// The state forbids it (no account yet, already in a call, file exists).
    State,
    /// The other side cannot be reached now.
    Unreachable,
    /// The other side, or an organisation's policy, refused.
    Refused,
    /// Disk, device or other trouble on this machine.
    System,
}

impl ErrorKind {
    /// Exit code of the command line.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::System => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Ambiguous => 4,
            Self::State => 5,
            Self::Unreachable => 6,
            Self::Refused => 7,
        }
    }

    /// JSON-RPC error code.
    pub const fn code(self) -> i32 {
        match self {
            Self::Usage => -32602,
            other => -32000 - other.exit_code() as i32,
        }
    }
}

/// Why a command failed, with a sentence a person can act on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// JSON-RPC code.
    pub code: i32,
    /// The sentence.
    pub message: String,
    /// Kind and candidates.
    pub data: FailureData,
}

/// The machine-readable part of a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureData {
    /// Sort.
    pub kind: ErrorKind,
    /// For [`ErrorKind::Ambiguous`]: what was meant, perhaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

impl Failure {
    /// A failure without candidates.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            code: kind.code(),
            message: message.into(),
            data: FailureData {
                kind,
                candidates: Vec::new(),
            },
        }
    }

    /// "Which of these?"
    pub fn ambiguous(message: impl Into<String>, candidates: Vec<String>) -> Self {
        let kind = ErrorKind::Ambiguous;
        Self {
            code: kind.code(),
            message: message.into(),
            data: FailureData { kind, candidates },
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        for candidate in &self.data.candidates {
            write!(f, "\n  {candidate}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl Request {
    /// A request line's content.
    pub fn new(id: u64, command: Command) -> Self {
        Self {
            jsonrpc: "2.0".into(),
            id,
            command,
        }
    }
}

impl Response {
    /// The answer to request `id`.
    pub fn new(id: Option<u64>, result: Result<Value, Failure>) -> Self {
        let (result, error) = match result {
            Ok(value) => (Some(value), None),
            Err(failure) => (None, Some(failure)),
        };
        Self {
            jsonrpc: "2.0".into(),
            id,
            result,
            error,
        }
    }

    /// What came back; `null` results read as `Value::Null`.
    pub fn into_result(self) -> Result<Value, Failure> {
        match self.error {
            Some(failure) => Err(failure),
            None => Ok(self.result.unwrap_or(Value::Null)),
        }
    }
}

impl Notification {
    /// An event line's content.
    pub fn new(params: Event) -> Self {
        Self {
            jsonrpc: "2.0".into(),
            method: "event".into(),
            params,
        }
    }
}

/// Reads one request line; on failure, what to answer and the request's id if it could be read.
pub fn parse_request(line: &[u8]) -> Result<Request, (Option<u64>, Failure)> {
    if line.len() > LINE_MAX {
        return Err((
            None,
            Failure::new(ErrorKind::Usage, "the request is longer than 1 MiB"),
        ));
    }
    serde_json::from_slice::<Request>(line).map_err(|error| {
        let id = serde_json::from_slice::<Value>(line)
            .ok()
            .and_then(|value| value.get("id")?.as_u64());
        (
            id,
            Failure::new(
                ErrorKind::Usage,
                format!("the request could not be read: {error}"),
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_request(&line);
        }

        #[test]
        fn texts_survive_the_line(text in "\\PC{0,100}") {
            let command = Command::ChatSend { who: "bob".into(), text };
            let line = serde_json::to_vec(&Request::new(7, command.clone())).unwrap();
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(parse_request(&line).unwrap().command, command);
        }
    }

    #[test]
    fn an_unknown_method_is_answered_under_its_id() {
        let (id, failure) =
            parse_request(br#"{"jsonrpc":"2.0","id":9,"method":"make.tea","params":{}}"#)
                .unwrap_err();
        assert_eq!(id, Some(9));
        assert_eq!(failure.data.kind, ErrorKind::Usage);
    }

    #[test]
    fn exit_codes_are_distinct_and_never_zero() {
        use ErrorKind::*;
        let mut codes: Vec<u8> = [
            Usage,
            NotFound,
            Ambiguous,
            State,
            Unreachable,
            Refused,
            System,
        ]
        .map(ErrorKind::exit_code)
        .to_vec();
        codes.sort_unstable();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7]);
    }
}
