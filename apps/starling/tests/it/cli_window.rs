//! `starling` alone, on a machine without a display: says how to get in, lets one browser in, is asked again, ends cleanly.

use std::path::Path;
use std::process::Stdio;

use crate::cli_cast::{Person, Running};
use crate::window_http::send;

#[test]
fn without_a_display_it_says_where_the_window_is_and_goes_on_serving() {
    let alice = Person::nobody();
    let mut window = alice.program();
    window.stderr(Stdio::inherit());
    let mut window = Running::start(window);
    let said: Vec<String> = (0..5).map(|_| window.line()).collect();
    let file = said[0].split(": ").nth(1).unwrap();
    assert!(Path::new(file).is_file(), "{said:?}");
    assert!(said[2].contains("ssh -N -L"), "{said:?}");
    assert!(said[4].contains("Ctrl-C"), "{said:?}");
    enter(said[1].split(' ').next_back().unwrap());
    assert!(!Path::new(file).exists(), "the way in was used");

    let door = &alice.json(&[])[0];
    assert!(Path::new(door["file"].as_str().unwrap()).is_file());
    enter(door["url"].as_str().unwrap());
    alice.ok(&["account", "create", "Alice"]);
    let (status, rest) = window.interrupt();
    assert!(status.success() && rest.is_empty(), "{status} {rest}");
    assert_eq!(
        std::fs::read_dir(alice.profile().join("window"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_node_in_the_background_shows_the_window_when_asked() {
    let alice = Person::nobody();
    alice.ok(&["account", "create", "Alice"]);
    let door = &alice.json(&[])[0];
    enter(door["url"].as_str().unwrap());
    alice.ok(&["stop"]);
}

fn enter(url: &str) {
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let path = format!("/{path}");
    let answer = send(host, "GET", &path, &[("host", host)], "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let again = send(host, "GET", &path, &[("host", host)], "");
    assert_eq!(again.status, 401, "{}", again.body);
}
