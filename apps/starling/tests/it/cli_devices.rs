//! One account on two machines, by the command line alone.

use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};

use crate::cli_cast::{Person, Running, befriend};

/// A command that asks, and whoever answers it.
struct Asked {
    running: Running,
    answers: ChildStdin,
}

fn asked(person: &Person, arguments: &[&str]) -> Asked {
    let mut program: Command = person.program();
    program.args(arguments).stdin(Stdio::piped());
    let (running, answers) = Running::answered(program);
    Asked { running, answers }
}

impl Asked {
    fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.running.line()).unwrap()
    }

    fn say(&mut self, answer: &str) {
        writeln!(self.answers, "{answer}").unwrap();
    }
}

#[test]
fn a_phone_joins_is_renamed_and_is_removed() {
    let (alice, bob, mut phone) = (Person::new("Alice"), Person::new("Bob"), Person::nobody());
    befriend(&alice, &bob, ("Alice", "Bob"));
    phone.start(&[]);
    let mut add = asked(&alice, &["--json", "account", "device", "add"]);
    let link = add.json()["link"].as_str().unwrap().to_owned();
    let join = [
        "--json", "account", "device", "join", &link, "--name", "phone",
    ];
    let mut join = asked(&phone, &join);
    assert_eq!(join.json()["words"], serde_json::Value::Null);
    let shown = add.json();
    assert_eq!(shown["device_name"], "phone");
    assert_eq!(join.json()["words"], shown["words"]);
    add.say("yes");
    join.say("yes");
    let joined = join.json();
    assert_eq!(add.json()["joined"], joined["joined"]);
    assert_eq!(phone.json(&["account", "show"])[0]["name"], "Alice");
    phone.until(&["contact", "list"], |contact| contact["name"] == "Bob");
    let renamed = alice.json(&["account", "device", "rename", "phone", "pocket"]);
    assert_eq!(renamed[1]["name"], "pocket");
    phone.until(&["account", "device", "list"], |device| {
        device["name"] == "pocket" && device["this"] == true
    });
    let table = alice.ok(&["account", "device", "list"]);
    assert!(
        table.contains("this device") && table.contains("pocket"),
        "{table}"
    );
    let left = alice.json(&["account", "device", "revoke", "pocket"]);
    assert_eq!(left.len(), 1);
    phone.until(&["status"], |status| {
        status["warnings"]
            .to_string()
            .contains("was removed from its account")
    });
    assert!(
        phone
            .fails(&["chat", "send", "Bob", "hello?"], 5)
            .contains("was removed")
    );
}

#[test]
fn what_goes_wrong_with_devices_is_said_in_a_sentence() {
    let (alice, mut nobody) = (Person::new("Alice"), Person::nobody());
    nobody.start(&[]);
    let device = |rest: &[&'static str]| [&["account", "device"], rest].concat();
    let no_link = nobody.fails(&device(&["join", "starling:abc"]), 2);
    assert!(no_link.contains("device"), "{no_link}");
    nobody.fails(&device(&["join", "starling-device:zzzz"]), 2);
    assert!(
        nobody
            .fails(&device(&["add"]), 5)
            .contains("no account yet")
    );
    assert!(
        nobody
            .fails(&device(&["list"]), 5)
            .contains("no account yet")
    );
    assert!(
        alice
            .fails(&device(&["revoke", "phone"]), 3)
            .contains("none of your devices")
    );
    assert!(
        alice
            .fails(&device(&["rename", "phone", "x"]), 3)
            .contains("none of your devices")
    );
    let id = alice.json(&["account", "device", "list"])[0]["id"].to_string();
    let id = id.trim_matches('"');
    let itself = alice.fails(&["account", "device", "revoke", id], 5);
    assert!(itself.contains("in front of you"), "{itself}");
    alice.fails(&["account", "device", "rename", id, ""], 2);
    let forgets = alice.fails(&["account", "device", "owner", id, "off"], 5);
    assert!(forgets.contains("cannot forget"), "{forgets}");
    alice.fails(&["account", "device", "owner", id, "perhaps"], 2);
    // Whoever says no adds nobody.
    let mut add = asked(&alice, &["account", "device", "add"]);
    let link = add.running.line();
    assert!(link.starts_with("starling-device:"), "{link}");
    let (status, rest) = add.running.interrupt();
    assert!(status.success() && rest.is_empty(), "{status} {rest}");
    // So does whoever says so, at the other side.
    let mut add = asked(&alice, &["account", "device", "add"]);
    let link = add.running.line();
    let mut join = asked(&nobody, &["account", "device", "join", &link]);
    add.running.line();
    join.running.line();
    join.say("no");
    assert_eq!(join.running.child.wait().unwrap().code(), Some(7));
    add.say("yes");
    assert!(!add.running.child.wait().unwrap().success());
    assert_eq!(alice.json(&["account", "device", "list"]).len(), 1);
}
