//! `starling role` and `starling policy` as a person at a terminal meets them.

use crate::cli_cast::Person;

#[test]
fn roles_are_shown_capped_and_switched_and_a_policy_forbids() {
    let mut alice = Person::nobody();
    alice.start(&[]);
    let shown = alice.ok(&["role"]);
    assert!(shown.contains("supernode   on for this machine"), "{shown}");
    let capped = alice.ok(&["role", "relay", "--cap", "500", "--month", "20"]);
    assert!(capped.contains("at most 500 kbit/s"), "{capped}");
    assert!(capped.contains("at most 20 GB a month"), "{capped}");
    let off = alice.ok(&["role", "mailbox", "off"]);
    assert!(off.contains("off: switched off"), "{off}");
    let lifted = alice.ok(&["--json", "role", "relay", "--cap", "0", "--month", "0"]);
    assert!(lifted.contains("\"monthly_gb\":null"), "{lifted}");
    for wrong in [
        &["role", "boss", "on"][..],
        &["role", "relay"],
        &["role", "relay", "maybe"],
        &["role", "--cap", "5"],
    ] {
        let ran = alice.run(wrong);
        assert_eq!(ran.code, 2, "{wrong:?}: {ran:?}");
    }
    let kept = alice.ok(&["mailbox", "--room", "50", "--at-once", "on"]);
    assert!(kept.contains("0 B, at most 50.0 MB"), "{kept}");
    assert!(kept.contains("without having run"), "{kept}");
    let kept = &alice.json(&["mailbox"])[0];
    assert_eq!(
        (&kept["bytes_max"], &kept["on"]),
        (&50_000_000.into(), &false.into())
    );
    assert_eq!(alice.run(&["mailbox", "--room", "2000000"]).code, 2);
    let file = alice.folder().join("policy.toml");
    std::fs::write(&file, "format = 1\n[roles]\nrelay = \"never\"\n").unwrap();
    let path = file.to_str().unwrap();
    let checked = alice.run(&["policy", "check", path]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert_eq!(checked.out.trim(), "roles.relay = never");
    std::fs::write(&file, "format = 1\n[roles]\nrelais = \"never\"\n").unwrap();
    let checked = alice.run(&["policy", "check", path]);
    assert_eq!(checked.code, 2, "{checked:?}");
    assert!(checked.err.contains("line 3"), "{}", checked.err);
}

#[test]
fn policy_06_a_named_policy_binds_the_node_and_an_invalid_one_keeps_it_from_starting() {
    let mut alice = Person::nobody();
    let file = alice.folder().join("policy.toml");
    std::fs::write(&file, "format = 1\n[roles]\nrelay = \"never\"\n").unwrap();
    let path = file.to_str().unwrap().to_owned();
    alice.start(&["--policy", &path]);
    let status = alice.ok(&["status"]);
    assert!(
        status.contains("roles.relay = never, set by your organisation"),
        "{status}"
    );
    let refused = alice.run(&["role", "relay", "on"]);
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(
        refused.err.contains("policy: relay = never"),
        "{}",
        refused.err
    );
    alice.ok(&["stop"]);
    std::fs::write(&file, "format = 1\nfast = true\n").unwrap();
    let ran = alice.run(&["--policy", &path, "node"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err.contains("line 2") && ran.err.contains("does not start"),
        "{}",
        ran.err
    );
}
