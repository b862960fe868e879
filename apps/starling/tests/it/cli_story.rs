//! Two people and their whole programs: contacts, chat, files, calls, restarts, backup, the sound test.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli_cast::{Person, Ran, Running, befriend, program, write_tone};

#[test]
fn two_people_meet_chat_and_send_files_both_ways() {
    let (alice, bob) = (Person::new("Alice"), Person::new("Bob"));
    befriend(&alice, &bob, ("Alice", "Bob"));

    let mut follow = alice.program();
    follow.args(["chat", "follow"]);
    let mut follow = Running::start(follow);
    // The stream stands once Alice's own words come back on it.
    alice.ok(&["chat", "send", "bob", "Hello, Bob! 👋\nSecond line"]);
    let line = follow.line();
    assert!(line.contains("to Bob: Hello, Bob! 👋"), "{line}");
    assert!(follow.line().contains("    Second line"));
    let got = bob.until(&["chat", "log", "alice"], |message| {
        message["outgoing"] == false
    });
    assert_eq!(got["text"], "Hello, Bob! 👋\nSecond line");
    bob.ok(&["chat", "send", "Alice", "\u{1b}[2JHello, Alice"]);
    let line = follow.line();
    assert!(line.contains("Bob: \u{fffd}[2JHello, Alice"), "{line}");
    alice.until(&["chat", "log", "bob"], |message| {
        message["delivery"] == "delivered"
    });
    let (status, rest) = follow.interrupt();
    assert!(status.success() && rest.is_empty(), "{status} {rest}");

    send_file(&alice, &bob, "Bob", 1_000_003);
    send_file(&bob, &alice, "Alice", 0);

    show_presence(&alice, &bob);
    show_processing(&alice);
    show_profile(&alice, &bob);
    organise(&alice);

    let status = &alice.json(&["status"])[0];
    assert_eq!(status["account"]["name"], "Alice");
    assert_eq!(status["home"], alice.profile().to_str().unwrap());
    assert_eq!(status["supernode"]["connected"], true);
    let words = alice.ok(&["status"]);
    assert!(
        words.contains("name        Alice") && !words.contains('\u{1b}'),
        "{words}"
    );
}

fn show_presence(alice: &Person, bob: &Person) {
    let own = &alice.json(&["presence", "set", "away", "--mood", "at sea"])[0];
    assert_eq!(
        (&own["choice"], &own["shown"]),
        (&"away".into(), &"away".into())
    );
    bob.until(&["presence", "show", "Alice"], |alice| {
        alice["presence"] == "away" && alice["mood"] == "at sea"
    });
    assert!(
        bob.ok(&["presence", "show", "Alice"])
            .contains("Alice: away")
    );
    alice.ok(&[
        "presence",
        "set",
        "auto",
        "--mood",
        "",
        "--share-calls",
        "on",
    ]);
    assert!(
        alice
            .ok(&["presence", "show"])
            .contains("shown as    online")
    );
}

fn show_processing(alice: &Person) {
    let shown = alice.ok(&["audio", "processing"]);
    assert!(
        shown.contains("noise       medium: 12 dB softer"),
        "{shown}"
    );
    let set = &alice.json(&["audio", "processing", "--echo", "strong", "--gain", "6"])[0];
    assert_eq!(
        (&set["echo"], &set["noise"], &set["gain"]),
        (&"strong".into(), &"medium".into(), &"6".into())
    );
    alice.ok(&["audio", "processing", "--echo", "on", "--gain", "on"]);
}

/// One pixel, grey.
const PNG: &[u8] = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\
    \x00\x00\x00\x0a\x49\x44\x41\x54\x78\x9c\x63\x68\x00\x00\x00\x82\x00\x81\x77\xcd\x72\xb6\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

fn show_profile(alice: &Person, bob: &Person) {
    let file = alice.folder().join("me.png");
    std::fs::write(&file, PNG).unwrap();
    let file = file.to_str().unwrap();
    let own = &alice.json(&["profile", "set", "--about", "Sailor", "--avatar", file])[0];
    assert_eq!(
        (&own["about"], &own["visibility"]["about"]),
        (&"Sailor".into(), &"contacts".into())
    );
    let seen = bob.until(&["profile", "show", "Alice"], |alice| {
        alice["about"] == "Sailor" && alice["avatar"].is_string()
    });
    assert_eq!(seen["avatar"], own["avatar"]);
    assert!(
        bob.ok(&["profile", "show", "Alice"])
            .contains("picture   yes")
    );
    alice.ok(&[
        "profile",
        "set",
        "--visibility",
        "about=nobody",
        "--no-avatar",
    ]);
    let shown = alice.ok(&["profile", "show"]);
    assert!(
        shown.contains("about (nobody)") && shown.contains("Sailor"),
        "{shown}"
    );
    bob.until(&["profile", "show", "Alice"], |alice| {
        alice["about"] == "" && alice["avatar"].is_null()
    });
    alice.fails(&["profile", "set"], 2);
    alice.fails(&["profile", "set", "--visibility", "face=nobody"], 2);
    let none = alice.fails(&["profile", "set", "--avatar", "/dev/null"], 2);
    assert!(none.contains("has to be a file"), "{none}");
}

fn organise(alice: &Person) {
    let kept = &alice.json(&["contact", "list-add", "Bob", "Friends"])[0];
    assert_eq!(kept["lists"][0], "Friends");
    assert!(alice.ok(&["contact", "favourite", "Bob"]).is_empty());
    alice.ok(&["contact", "note", "Bob", "Likes birds"]);
    assert!(alice.ok(&["contact", "lists"]).contains("Friends  Bob"));
    let denied = &alice.json(&["contact", "deny", "Bob", "direct"])[0];
    assert_eq!(
        (&denied["denied"][0], &denied["always_relay"]),
        (&"direct".into(), &true.into())
    );
    let allowed = &alice.json(&["contact", "allow", "Bob", "direct"])[0];
    assert_eq!(allowed["favourite"], true);
    assert_eq!(allowed["denied"].as_array().map(Vec::len), Some(0));
    alice.fails(&["contact", "list-remove", "Bob", "Nobody"], 3);
}

/// CONTACT-13 and CONTACT-14
fn carries_contacts(alice: &Person, bob: &Person) {
    let file = alice.folder().join("people.jsonl");
    let path = file.to_str().unwrap();
    alice.ok(&["contact", "export", path]);
    alice.fails(&["contact", "export", path], 5);
    let text = std::fs::read_to_string(&file).unwrap();
    let line: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (&line["name"], &line["note"]),
        (&"Bob".into(), &"Likes birds".into())
    );
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        alice.ok(&["contact", "import", path]),
        "1: a contact already; lists and notes are kept"
    );
    let own = bob.ok(&["contact", "link"]);
    assert!(own.starts_with("starling:"));
    assert_eq!(bob.ok(&["contact", "import", path]), "1: this is you");
    // Wrong lines are named, and the others go on.
    let hostile = format!("{{}}\n\n{}\nnot JSON\n\u{0}\n{text}", "x".repeat(100_000));
    std::fs::write(&file, hostile).unwrap();
    let said = alice.fails(&["contact", "import", path], 2);
    for number in [1, 3, 4, 5] {
        assert!(said.contains(&format!("line {number}: ")), "{said}");
    }
    assert!(
        said.contains("1 contacts were taken, 4 lines were not."),
        "{said}"
    );
}

#[test]
fn contact_13_14_contacts_go_into_a_file_and_come_from_it() {
    let (alice, bob) = (Person::new("Alice"), Person::new("Bob"));
    befriend(&alice, &bob, ("Alice", "Bob"));
    alice.ok(&["contact", "note", "Bob", "Likes birds"]);
    carries_contacts(&alice, &bob);
}

fn send_file(from: &Person, to: &Person, who: &str, size: usize) {
    let path = from.write("holiday.bin", size);
    let id = from.ok(&["file", "send", who, path.to_str().unwrap()]);
    let offer = to.until(&["file", "list"], |file| file["id"] == id.as_str());
    assert_eq!(
        (&offer["size"], &offer["state"]),
        (&size.into(), &"offered".into())
    );
    let arrived = to.ok(&[
        "file",
        "accept",
        &id[..10],
        "--to",
        to.folder().to_str().unwrap(),
        "--wait",
    ]);
    assert_eq!(
        std::fs::read(arrived).unwrap(),
        std::fs::read(path).unwrap()
    );
    from.until(&["file", "list"], |file| {
        file["id"] == id.as_str() && file["state"] == "done"
    });
}

#[test]
fn a_call_plays_and_records_both_ways_and_ends_in_time() {
    let (alice, bob) = (Person::new("Alice"), Person::new("Bob"));
    befriend(&alice, &bob, ("Alice", "Bob"));
    for person in [&alice, &bob] {
        write_tone(&person.folder().join("tone.wav"), 3);
    }
    let mut answer = bob.program();
    answer.current_dir(bob.folder()).args([
        "answer",
        "--wait",
        "--play",
        "tone.wav",
        "--record",
        "heard.wav",
    ]);
    let mut answer = Running::start(answer);
    let mut call = alice.program();
    call.current_dir(alice.folder());
    call.args([
        "call",
        "bob",
        "--play",
        "tone.wav",
        "--record",
        "heard.wav",
        "--for",
        "1500ms",
    ]);
    let began = Instant::now();
    let called = Ran::of(&call.output().unwrap());
    assert_eq!(called.code, 0, "{called:?}");
    assert!(called.out.contains("talked 0:0"), "{called:?}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert!(answer.child.wait().unwrap().success());
    for person in [&alice, &bob] {
        let heard = std::fs::metadata(person.folder().join("heard.wav"))
            .unwrap()
            .len();
        assert!(heard > 32_000, "{heard} bytes are less than half a second");
    }
    let calls = alice.json(&["calls"]);
    assert_eq!((calls.len(), &calls[0]["state"]), (1, &"ended".into()));

    // Nobody answers, Ctrl-C gives up.
    let mut call = alice.program();
    call.args(["call", "bob"]);
    let mut call = Running::start(call);
    assert!(call.line().starts_with("Bob: "));
    bob.until(&["calls"], |call| call["state"] == "ringing");
    let (status, rest) = call.interrupt();
    assert_eq!(status.code(), Some(6), "{rest}");
    bob.until(&["calls"], |call| call["state"] == "ended");
    bob.fails(&["hangup"], 3);
}

#[test]
fn a_killed_node_loses_nothing() {
    let (mut alice, mut bob) = (Person::new("Alice"), Person::new("Bob"));
    befriend(&alice, &bob, ("Alice", "Bob"));
    bob.kill();
    let path = alice.write("later.bin", 300_001);
    for n in 0..5 {
        alice.ok(&["chat", "send", "bob", &format!("message {n}")]);
    }
    let id = alice.ok(&["file", "send", "bob", path.to_str().unwrap()]);
    alice.kill();
    alice.start(&[]);
    bob.start(&[]);
    bob.until(&["chat", "log", "alice"], |message| {
        message["text"] == "message 4"
    });
    let texts: Vec<Value> = bob
        .json(&["chat", "log", "alice"])
        .into_iter()
        .map(|m| m["text"].clone())
        .collect();
    let wanted: Vec<Value> = (0..5).map(|n| format!("message {n}").into()).collect();
    assert_eq!(texts, wanted);
    bob.until(&["file", "list"], |file| file["id"] == id.as_str());
    let arrived = bob.ok(&["file", "accept", &id, "--wait"]);
    assert_eq!(
        std::fs::read(arrived).unwrap(),
        std::fs::read(path).unwrap()
    );
}

#[test]
fn the_sound_test_sends_back_words_files_and_sound() {
    let alice = Person::new("Alice");
    let echo = &alice.json(&["echo"])[0];
    assert_eq!(
        (&echo["name"], &echo["echo"]),
        (&"Echo / Sound Test".into(), &true.into())
    );
    alice.until_online("Echo / Sound Test");
    alice.ok(&["chat", "send", "echo", "Is anybody there?"]);
    let back = alice.until(&["chat", "log", "echo"], |message| {
        message["outgoing"] == false
    });
    assert_eq!(back["text"], "Is anybody there?");

    let path = alice.write("picture.bin", 200_003);
    alice.ok(&["file", "send", "echo", path.to_str().unwrap()]);
    let offer = alice.until(&["file", "list"], |file| file["outgoing"] == false);
    let arrived = alice.ok(&["file", "accept", offer["id"].as_str().unwrap(), "--wait"]);
    assert_eq!(
        std::fs::read(arrived).unwrap(),
        std::fs::read(path).unwrap()
    );

    write_tone(&alice.folder().join("tone.wav"), 2);
    let mut call = alice.program();
    call.current_dir(alice.folder());
    call.args([
        "call", "echo", "--play", "tone.wav", "--record", "back.wav", "--for", "2s",
    ]);
    let called = Ran::of(&call.output().unwrap());
    assert_eq!(called.code, 0, "{called:?}");
    let recorded = std::fs::read(alice.folder().join("back.wav")).unwrap();
    let loudest = recorded[44..]
        .chunks_exact(2)
        .map(|s| i16::from_le_bytes([s[0], s[1]]).unsigned_abs())
        .max();
    assert!(loudest > Some(2000), "only {loudest:?} of 8000 came back");
}

#[test]
fn a_command_starts_a_node_in_the_background_and_stop_ends_it() {
    let carol = Person::nobody();
    let created = carol.run(&["account", "create", "Carol"]);
    assert_eq!(created.code, 0, "{created:?}");
    assert_eq!(
        created.err.matches("runs in the background").count(),
        1,
        "{created:?}"
    );
    let mode = std::fs::metadata(carol.profile())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let listed = carol.run(&["contact", "list"]);
    assert!(
        listed.out.is_empty() && listed.err.contains("no contacts yet"),
        "{listed:?}"
    );
    assert!(carol.json(&["contact", "list"]).is_empty());
    carol.ok(&["stop"]);
    assert!(!carol.profile().join("control.sock").exists());
    let again = carol.run(&["stop"]);
    assert!(
        again.code == 0 && again.err.contains("does not run"),
        "{again:?}"
    );
    assert_eq!(carol.json(&["account", "show"])[0]["name"], "Carol");
}

#[test]
fn a_backup_brings_the_account_to_another_profile() {
    let (dora, other) = (Person::nobody(), Person::nobody());
    let id = dora.json(&["account", "create", "Dora"])[0]["id"].clone();
    let (file, words) = (
        dora.folder().join("dora.backup"),
        dora.folder().join("words"),
    );
    let (file, words_path) = (file.to_str().unwrap(), words.to_str().unwrap());
    std::fs::write(&words, "correct horse battery\n").unwrap();
    dora.ok(&["account", "backup", file, "--passphrase-file", words_path]);
    dora.fails(
        &["account", "backup", file, "--passphrase-file", words_path],
        5,
    );
    let reminded = |person: &Person| !person.json(&["status"])[0]["reminder"].is_null();
    assert!(reminded(&dora), "nothing was checked so far");
    let check = ["account", "backup", "--check", file, "--passphrase-file"];
    std::fs::write(&words, "wrong horse battery\n").unwrap();
    dora.fails(&[&check[..], &[words_path]].concat(), 7);
    assert!(reminded(&dora));
    std::fs::write(&words, "correct horse battery\n").unwrap();
    dora.ok(&[&check[..], &[words_path]].concat());
    assert!(!reminded(&dora));
    dora.ok(&["stop"]);

    let restore = |passphrase: &str| {
        let mut restore = program(other.folder());
        restore
            .env("STARLING_PASSPHRASE", passphrase)
            .args(["--json", "account", "restore", file]);
        Ran::of(&restore.output().unwrap())
    };
    let wrong = restore("wrong horse battery");
    assert_eq!(wrong.code, 7, "{wrong:?}");
    let right = restore("correct horse battery");
    assert_eq!(right.code, 0, "{right:?}");
    let account: Value = serde_json::from_str(right.out.trim()).unwrap();
    assert_eq!(account["id"], id);
    assert!(!reminded(&other), "whoever restores a backup has one");
}

#[test]
fn phrase_04_all_words_are_shown_and_three_are_asked_for() {
    let nobody = Person::nobody();
    nobody.fails(&["account", "phrase"], 5);
    let erin = Person::new("Erin");
    let phrase = &erin.json(&["account", "phrase"])[0];
    let words: Vec<&str> = phrase["words"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(Value::as_str)
        .collect();
    assert_eq!(words.len(), 24);
    let shown = erin.ok(&["account", "phrase"]);
    assert!(shown.contains(&format!("24. {}", words[23])), "{shown}");
    let given = |number: usize, word: &str| format!("{number}={word}");
    let check = |answers: &[String]| {
        let answers = answers.iter().map(String::as_str);
        [
            &["account", "phrase", "check"][..],
            &answers.collect::<Vec<_>>(),
        ]
        .concat()
        .iter()
        .map(|one| (*one).to_owned())
        .collect::<Vec<_>>()
    };
    let right: Vec<String> = [3, 11, 24].map(|n| given(n, words[n - 1])).to_vec();
    // Too few, the same one three times, one that is not the right one, none at all.
    let mut wrong = right.clone();
    wrong[1] = given(11, if words[10] == "zoo" { "abandon" } else { "zoo" });
    let cases = [
        (right[..2].to_vec(), 2),
        (vec![right[0].clone(); 3], 2),
        (wrong, 7),
        (Vec::new(), 2),
    ];
    let reminded = || !erin.json(&["status"])[0]["reminder"].is_null();
    for (answers, code) in cases {
        let line = check(&answers);
        erin.fails(&line.iter().map(String::as_str).collect::<Vec<_>>(), code);
        assert!(reminded());
    }
    let line = check(&right);
    erin.ok(&line.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!reminded());
}

#[test]
fn a_network_is_made_and_joined_by_file_and_by_link() {
    let (server, alice, bob) = (Person::nobody(), Person::new("Alice"), Person::new("Bob"));
    let file = server.folder().join("ours.network");
    let made = &server.json(&[
        "network",
        "init",
        "--name",
        "Ours",
        "--file",
        file.to_str().unwrap(),
    ])[0];
    assert_eq!(
        (&made["network"]["name"], &made["network"]["owner"]),
        (&"Ours".into(), &true.into())
    );
    server.fails(&["network", "init"], 5);
    let again = server.folder().join("again.network");
    let shown = &server.json(&["network", "show", "--file", again.to_str().unwrap()])[0];
    assert_eq!(shown["link"], made["link"], "to be handed out later, too");
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&again), read(&file));
    alice.ok(&["network", "join", file.to_str().unwrap()]);
    bob.ok(&["network", "join", made["link"].as_str().unwrap()]);
    for person in [&alice, &bob] {
        person.until_registered();
        let network = &person.json(&["network", "show"])[0];
        assert_eq!(network["id"], made["network"]["id"]);
    }
    befriend(&alice, &bob, ("Alice", "Bob"));
    bob.ok(&["chat", "send", "Alice", "through a server"]);
    alice.until(&["chat", "log", "Bob"], |message| {
        message["text"] == "through a server"
    });
}

#[test]
fn account_10_the_words_bring_an_account_to_another_profile() {
    let (frank, other) = (Person::new("Frank"), Person::nobody());
    let phrase = &frank.json(&["account", "phrase"])[0]["words"];
    let words = phrase.as_array().unwrap().iter().flat_map(Value::as_str);
    let words = words.collect::<Vec<_>>().join("\n");
    let restore = |words: &str, more: &[&str]| {
        let mut restore = program(other.folder());
        restore
            .args(["--json", "account", "restore", "--phrase"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = restore.spawn().unwrap();
        let mut input = running.stdin.take().unwrap();
        input.write_all(words.as_bytes()).unwrap();
        drop(input);
        Ran::of(&running.wait_with_output().unwrap())
    };
    assert_eq!(restore("abandon ability", &[]).code, 2);
    let unknown = restore(&words, &[]);
    assert_eq!(unknown.code, 3, "it was in no network: {unknown:?}");
    let restored = restore(&words, &["--anyway"]);
    assert_eq!(restored.code, 0, "{restored:?}");
    let restored: Value = serde_json::from_str(restored.out.trim()).unwrap();
    assert_eq!(
        restored["account"]["id"],
        frank.json(&["account", "show"])[0]["id"]
    );
    assert_eq!(restored["contacts"], 0);
}
