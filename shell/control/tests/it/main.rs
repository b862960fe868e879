//! The local API from outside.

#[path = "../../../../core/wire/tests/it/corpus.rs"]
mod corpus;
#[path = "../../../../core/wire/tests/it/mutator.rs"]
mod mutator;

use starling_control::rpc::Request;
use starling_control::{Command, fuzz};

#[test]
fn no_line_of_a_client_makes_it_panic() {
    let line = |command| serde_json::to_vec(&Request::new(7, command)).expect("it is written");
    let who = || "Bob".to_owned();
    let made = [
        ("status", line(Command::Status {})),
        ("events", line(Command::Events {})),
        (
            "chat-send",
            line(Command::ChatSend {
                who: who(),
                text: "Gr\u{fc}\u{df}e, \"\n\u{1f426}".into(),
            }),
        ),
        (
            "contact-add",
            line(Command::ContactAdd {
                link: "starling:abc".into(),
                message: "It is Alice".into(),
            }),
        ),
        (
            "file-send",
            line(Command::FileSend {
                who: who(),
                path: "/tmp/a.txt".into(),
            }),
        ),
        (
            "not-json",
            b"{\"jsonrpc\":\"2.0\",\"id\":18446744073709551616".to_vec(),
        ),
        ("deep", [[b'['; 200], [b']'; 200]].concat()),
    ];
    let corpus = corpus::committed("request", &made);
    mutator::run(31, &corpus, fuzz::request);
}
