//! The pages of names: search, the own name, whose a name is.

use starling_control::Command;
use starling_control::view::*;

use crate::window_http::Visitor;
use crate::window_peer::{ALICE, BOB, CAROL, Stage, alice};

const HOSTILE: &str = "<script>alert(1)</script>";

fn found(account: &str, name: &str, display_name: Option<&str>) -> FoundName {
    FoundName {
        name: name.into(),
        display_name: display_name.map(str::to_owned),
        account: account.into(),
    }
}

/// Alice's window, with these people found.
async fn searching(found: Vec<FoundName>) -> (Stage, Visitor) {
    let mut script = alice();
    script.found = found;
    script.status.account.as_mut().unwrap().id = ALICE.into();
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    (stage, visitor)
}

#[tokio::test]
async fn a_search_shows_people_and_offers_what_is_possible_with_each() {
    let (_stage, visitor) = searching(vec![
        found(CAROL, "carol", Some(HOSTILE)),
        found(BOB, "bob", None),
        found(ALICE, "alice", None),
    ])
    .await;
    let answer = visitor.get("search?words=ca").await.body;
    assert!(answer.contains("&lt;script&gt;alert(1)") && !answer.contains(HOSTILE));
    assert!(answer.contains("name=\"link\" value=\"carol\""));
    assert!(!answer.contains("value=\"bob\""), "a contact already");
    assert!(answer.contains("This is you."));
}

#[tokio::test]
async fn nothing_is_searched_for_before_somebody_typed_and_what_was_typed_stays() {
    let (stage, visitor) = searching(Vec::new()).await;
    assert_eq!(visitor.get("search").await.status, 200);
    let text = String::new();
    assert!(!stage.asked(&Command::Search { text }));
    let answer = visitor.get("search?words=ca%20%3Cb%3E").await.body;
    let text = "ca <b>".to_owned();
    assert!(stage.asked(&Command::Search { text }));
    assert!(answer.contains("value=\"ca &lt;b&gt;\""));
    assert!(answer.contains("Nobody was found"));
}

#[tokio::test]
async fn names_are_claimed_and_given_up() {
    let mut script = alice();
    script.own_names = vec![OwnName {
        name: "alice".into(),
        state: "held".into(),
        words: "yours until 2027".into(),
        ..OwnName::default()
    }];
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    let page = visitor.get("names").await.body;
    assert!(page.contains("yours until 2027") && !page.contains("belongs to"));
    let form = "name=Alice2&invitation=abc&findable=yes";
    assert_eq!(visitor.post("name-claim", form).await.status, 200);
    assert!(stage.asked(&Command::NameClaim {
        name: "Alice2".into(),
        invitation: Some("abc".into()),
        findable: true,
    }));
    visitor.post("name-release", "name=alice").await;
    let name = "alice".to_owned();
    assert!(stage.asked(&Command::NameRelease { name }));
}

#[tokio::test]
async fn what_speaks_against_a_name_is_said() {
    let mut script = alice();
    script.check = NameCheck {
        name: "carol".into(),
        account: Some(CAROL.into()),
        findings: vec![format!("two statements {HOSTILE}")],
        ..NameCheck::default()
    };
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    let checked = visitor.get("names?verify=carol").await.body;
    assert!(checked.contains("Do not trust it") && checked.contains("two statements &lt;script"));
}
