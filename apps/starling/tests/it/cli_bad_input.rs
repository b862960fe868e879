//! What goes wrong is said in a sentence, with the exit code that the documents promise.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use crate::cli_cast::{Person, Ran, befriend};

#[test]
fn malformed_commands_are_refused_before_anything_runs() {
    let nobody = Person::nobody();
    for line in [
        &["make-tea"][..],
        &["account"],
        &["account", "create"],
        &["chat", "log", "bob", "--limit", "many"],
        &["call", "bob", "--for", "soon"],
        &["network", "init", "--advertise", "here"],
        &["node", "--listen", "everywhere"],
        &["--lan", "perhaps", "status"],
        &["--profile", "work", "status"],
    ] {
        nobody.fails(line, 2);
    }
    assert!(!nobody.profile().exists());
    let mut elsewhere = nobody.program();
    let elsewhere = elsewhere.args(["--home", "", "status"]).output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(2));
    let help = nobody.ok(&["--help"]);
    assert!(
        help.contains("Exit codes:") && !help.contains("echo-bot"),
        "{help}"
    );
}

#[test]
fn a_second_node_is_refused_and_the_first_goes_on() {
    let mut alice = Person::new("Alice");
    let sentence = alice.fails(&["node"], 5);
    assert!(
        sentence.contains("another Starling already runs"),
        "{sentence}"
    );
    let no_window = alice.fails(&[], 5);
    assert!(no_window.contains("starling stop"), "{no_window}");
    assert_eq!(alice.json(&["account", "show"])[0]["name"], "Alice");
    alice.fails(&["account", "create", "Alice again"], 5);
    assert!(alice.interrupt().success());
    assert!(!alice.profile().join("control.sock").exists());
}

#[test]
fn an_ambiguous_name_lists_who_may_be_meant() {
    let (alice, bob, other) = (Person::new("Alice"), Person::new("Bob"), Person::new("Bob"));
    befriend(&alice, &bob, ("Alice", "Bob"));
    befriend(&alice, &other, ("Alice", "Bob"));
    let sentence = alice.fails(&["chat", "send", "bob", "which of you?"], 4);
    let ids: Vec<String> = [&bob, &other]
        .map(|person| {
            person.json(&["account", "show"])[0]["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .to_vec();
    assert!(
        ids.iter().all(|id| sentence.contains(&format!("{id} Bob"))),
        "{sentence}"
    );
    alice.ok(&["chat", "send", &ids[1][..12], "you"]);
    other.until(&["chat", "log", "alice"], |message| {
        message["text"] == "you"
    });
    alice.ok(&["contact", "nickname", &ids[0], "Bobby"]);
    alice.ok(&["chat", "send", "bobby", "and you"]);
    bob.until(&["chat", "log", "alice"], |message| {
        message["text"] == "and you"
    });
    alice.fails(&["chat", "send", "mallory", "hello?"], 3);
    alice.fails(&["file", "send", "bobby", "/no/such/file"], 3);
    alice.fails(&["contact", "accept", "mallory"], 3);
}

#[test]
fn a_hostile_link_changes_nothing() {
    let alice = Person::new("Alice");
    let own = alice.ok(&["contact", "link"]);
    let mut bent = own.clone();
    bent.pop();
    bent.push(if own.ends_with('a') { 'b' } else { 'a' });
    let long = format!("starling:{}", "a".repeat(100_000));
    for link in [
        "",
        "starling:",
        "starling:?",
        "starling:\u{1b}[2J",
        "http://127.0.0.1/",
        "starling:\u{202e}\n\n",
        &own[..own.len() / 2],
        &bent,
        &long,
    ] {
        for command in ["add", "preview"] {
            let sentence = alice.fails(&["contact", command, link], 2);
            assert!(
                !sentence.contains('\u{1b}') && sentence.len() < 1000,
                "{sentence:?}"
            );
        }
    }
    alice.fails(&["contact", "add", &own], 5);
    assert_eq!(
        alice.json(&["contact", "preview", &own])[0]["relation"],
        "own"
    );
    assert!(alice.json(&["contact", "list"]).is_empty());
    alice.fails(&["network", "join", "/no/such/file"], 3);
    alice.fails(&["network", "join", "/dev/zero"], 3);
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let carol = Person::nobody();
    carol.ok(&["account", "create", "Carol"]);
    carol.ok(&["stop"]);
    let key: String = fs::read(carol.profile().join("store.key"))
        .unwrap()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let database = rusqlite::Connection::open(carol.profile().join("store.db")).unwrap();
    database
        .execute_batch(&format!("PRAGMA key = \"x'{key}'\";"))
        .unwrap();
    database.pragma_update(None, "user_version", 9_999).unwrap();
    drop(database);
    for line in [&["node"][..], &["status"]] {
        let began = Instant::now();
        let sentence = carol.fails(line, 5);
        assert!(began.elapsed() < Duration::from_secs(5), "{line:?}");
        assert!(sentence.contains("newer version of Starling"), "{sentence}");
    }
}

#[test]
fn control_02_another_user_is_not_served() {
    if !rustix::process::getuid().is_root() {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "only root can become somebody else: run CI as root");
        println!("SKIPPED: only root can become somebody else");
        return;
    }
    let mut alice = Person::new("Alice");
    alice.expects_warning("refused a control client of another user");
    let shared = tempfile::tempdir().unwrap();
    let copy = shared.path().join("starling");
    // By a process of its own: were this one to write it, a child that another test starts meanwhile would hold it open for
    // writing, and nobody could run it (ETXTBSY).
    let cp = std::process::Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_starling"))
        .arg(&copy)
        .status();
    assert!(cp.unwrap().success());
    let open = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap()
    };
    open(shared.path(), 0o755);
    let ask = || {
        let mut ask = std::process::Command::new(&copy);
        ask.env_clear()
            .uid(65_534)
            .gid(65_534)
            .arg("--home")
            .arg(alice.profile())
            .arg("status");
        Ran::of(&ask.output().unwrap())
    };
    let outside = ask();
    assert_eq!(outside.code, 1, "{outside:?}");
    assert!(
        outside.err.contains("belongs to another user"),
        "{outside:?}"
    );
    // Even with every door of the file system open, the node looks at who asks.
    open(alice.folder(), 0o755);
    open(&alice.profile(), 0o755);
    open(&alice.profile().join("control.sock"), 0o666);
    let inside = ask();
    assert_eq!((inside.code, inside.out.as_str()), (1, ""), "{inside:?}");
    assert!(
        inside.err.contains("does not let this user in"),
        "{inside:?}"
    );
    alice.ok(&["status"]);
}
