//! Calls on the command line: several at once, the log, forwarding and putting through.

use rustix::process::{Pid, Signal, kill_process};

use crate::cli_cast::{Person, Running, befriend, write_tone};

/// `who` calls and stays, with a file instead of a microphone.
fn sounding(person: &Person, arguments: &[&str]) -> Running {
    let tone = person.folder().join("tone.wav");
    if !tone.exists() {
        write_tone(&tone, 3);
    }
    let mut command = person.program();
    command.current_dir(person.folder()).args(arguments);
    command.args(["--play", "tone.wav"]);
    Running::start(command)
}

#[test]
fn one_call_is_held_while_another_is_answered_and_they_are_swapped() {
    let (alice, bob, carol) = (
        Person::new("Alice"),
        Person::new("Bob"),
        Person::new("Carol"),
    );
    befriend(&alice, &bob, ("Alice", "Bob"));
    befriend(&alice, &carol, ("Alice", "Carol"));
    let _first = sounding(&bob, &["call", "alice"]);
    alice.until(&["calls"], |call| call["state"] == "ringing");
    let _answer = sounding(&alice, &["answer"]);
    alice.until(&["calls"], |call| call["state"] == "established");
    let _second = sounding(&carol, &["call", "alice"]);
    let waits = alice.until(&["calls"], |call| call["state"] == "ringing");
    assert_eq!(
        (&waits["who"], &waits["waiting"]),
        (&"Carol".into(), &true.into())
    );
    let _answer = sounding(&alice, &["answer"]);
    bob.until(&["calls"], |call| call["held_by_peer"] == true);
    let swapped = alice.ok(&["swap"]);
    assert!(swapped.starts_with("Bob: "), "{swapped}");
    carol.until(&["calls"], |call| call["held_by_peer"] == true);
    alice.ok(&["hangup"]);
    bob.until(&["calls"], |call| call["state"] == "ended");
    alice.ok(&["swap"]);
    alice.ok(&["hangup"]);
    let log = alice.json(&["call", "log"]);
    let talked = |call: &serde_json::Value| call["answered_at"].is_number();
    assert!(log.len() == 2 && log.iter().all(talked), "{log:?}");
}

#[test]
fn a_terminal_that_is_closed_ends_its_call() {
    let (alice, bob) = (Person::new("Alice"), Person::new("Bob"));
    befriend(&alice, &bob, ("Alice", "Bob"));
    let call = sounding(&alice, &["call", "bob"]);
    bob.until(&["calls"], |call| call["state"] == "ringing");
    let _answer = sounding(&bob, &["answer"]);
    alice.until(&["calls"], |call| call["state"] == "established");
    kill_process(Pid::from_child(&call.child), Signal::HUP).unwrap();
    for person in [&alice, &bob] {
        person.until(&["calls"], |call| call["state"] == "ended");
    }
}

#[test]
fn a_call_that_does_not_ring_is_in_the_log_until_it_was_seen() {
    let (alice, bob) = (Person::new("Alice"), Person::new("Bob"));
    befriend(&alice, &bob, ("Alice", "Bob"));
    let chosen = bob.json(&[
        "call",
        "settings",
        "--waiting",
        "off",
        "--forward-after",
        "9s",
    ]);
    assert_eq!(
        (&chosen[0]["waiting"], &chosen[0]["forward_after"]),
        (&false.into(), &9.into())
    );
    let words = bob.ok(&["call", "settings", "--forward-no-answer", "alice"]);
    assert!(words.contains("without an answer for 9 s"), "{words}");
    assert!(
        bob.ok(&["call", "settings", "--forward-no-answer", "off"])
            .contains("second call")
    );
    bob.fails(&["call", "settings", "--forward-busy", "nobody"], 3);
    bob.ok(&["presence", "set", "dnd"]);
    let busy = alice.fails(&["call", "bob"], 6);
    assert!(busy.contains("busy"), "{busy}");
    let missed = bob.until(&["call", "log", "--missed"], |call| call["missed"] == true);
    let id = missed["id"].as_str().unwrap_or_default();
    let shown = bob.ok(&["call", "log", "show", &id[..8]]);
    assert!(
        shown.contains("missed") && shown.contains("it did not ring (new)"),
        "{shown}"
    );
    assert_eq!(bob.json(&["status"])[0]["missed_calls"], 1);
    bob.ok(&["call", "log", "--missed", "--seen"]);
    assert_eq!(bob.json(&["status"])[0]["missed_calls"], 0);
    bob.fails(&["call", "log", "show", "nothing"], 3);
    bob.fails(&["call", "transfer", "alice"], 3);
}
