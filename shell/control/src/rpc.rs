//! JSON-RPC 2.0 envelopes, one per line, and the errors.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::Command;
use crate::event::Event;

/// The longest line a node or a client reads or writes.
pub const LINE_MAX: usize = 1024 * 1024;
/// Codes that JSON-RPC 2.0 itself gives for requests that did not get as far as a command.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;

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

    /// The request itself is wrong, in one of the ways that JSON-RPC names.
    fn unreadable(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            ..Self::new(ErrorKind::Usage, message)
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

/// Reads one request line; on failure, what to answer and the request's id if it could be read (`CONTROL-05`).
pub fn parse_request(line: &[u8]) -> Result<Request, (Option<u64>, Failure)> {
    // CONTROL-04: bound.
    if line.len() > LINE_MAX {
        let failure = Failure::unreadable(INVALID_REQUEST, "the request is longer than 1 MiB");
        return Err((None, failure));
    }
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        let sentence = format!("the request could not be read: {error}");
        (None, Failure::unreadable(PARSE_ERROR, sentence))
    })?;
    let id = value.get("id").and_then(Value::as_u64);
    let invalid = |what: &str| {
        let sentence = format!("the request could not be read: {what}");
        (id, Failure::unreadable(INVALID_REQUEST, sentence))
    };
    if value.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("\"jsonrpc\" is not \"2.0\""));
    }
    if id.is_none() {
        return Err(invalid("\"id\" is not a number"));
    }
    let Some(method) = value.get("method").and_then(Value::as_str) else {
        return Err(invalid("\"method\" is not a text"));
    };
    if !knows(method) {
        let sentence = format!("this node knows no method \"{method}\"");
        return Err((id, Failure::unreadable(METHOD_NOT_FOUND, sentence)));
    }
    serde_json::from_value(value).map_err(|error| {
        let sentence = format!("the request could not be read: {error}");
        (id, Failure::new(ErrorKind::Usage, sentence))
    })
}

/// Whether there is a command of this name. Only serde knows the names; so it is asked with parameters that no command
/// has, and what it then complains about first is the name or the parameters.
fn knows(method: &str) -> bool {
    let probe = serde_json::json!({"method": method, "params": 0});
    match serde_json::from_value::<Command>(probe) {
        Ok(_) => true,
        Err(error) => !error.to_string().starts_with("unknown variant"),
    }
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
    fn control_05_a_request_that_is_none_is_answered_with_json_rpcs_code() {
        let code = |line: &str| {
            let (id, failure) = parse_request(line.as_bytes()).unwrap_err();
            assert_eq!(failure.data.kind, ErrorKind::Usage, "{line}");
            (id, failure.code)
        };
        assert_eq!(code("make tea"), (None, -32700));
        assert_eq!(code("[]"), (None, -32600));
        assert_eq!(
            code(r#"{"id":9,"method":"status","params":{}}"#),
            (Some(9), -32600)
        );
        assert_eq!(
            code(r#"{"jsonrpc":"1.0","id":9,"method":"status","params":{}}"#),
            (Some(9), -32600)
        );
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":"a","method":"status","params":{}}"#),
            (None, -32600)
        );
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":9,"method":"make.tea","params":{}}"#),
            (Some(9), -32601)
        );
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":9,"method":"chat.send","params":{"who":1}}"#),
            (Some(9), -32602)
        );
        assert!(
            parse_request(br#"{"jsonrpc":"2.0","id":9,"method":"status","params":{}}"#).is_ok()
        );
    }

    #[test]
    fn control_04_a_line_beyond_the_bound_is_refused() {
        let line = vec![b' '; LINE_MAX + 1];
        assert_eq!(parse_request(&line).unwrap_err().1.code, -32600);
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
