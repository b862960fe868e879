//! The pages of a network's owner and of whoever moves: the registrar, and contacts carried elsewhere.

use starling_control::Command;
use starling_control::command::NameWish;
use starling_control::view::*;

use crate::window_http::Visitor;
use crate::window_peer::{CAROL, LINK, Stage, alice};

const HOSTILE: &str = "<script>alert(1)</script>";

fn at_work() -> NameOffice {
    NameOffice {
        running: true,
        words: "At work: it gives names.".into(),
        admission: "by hand".into(),
        names_per_account: 2,
        epoch: 1,
        until_s: 1_890_000_000,
        entries: 7,
        invitations: 3,
        waiting: vec![NameClaim {
            name: HOSTILE.into(),
            account: CAROL.into(),
            came_at_s: 1_795_000_000,
        }],
        signed: vec![SignedName {
            entry: 7,
            at_s: 1_795_000_000,
            name: "bob".into(),
            account: None,
        }],
    }
}

#[tokio::test]
async fn a_registrar_is_begun_changed_and_stopped_on_its_page() {
    let mut script = alice();
    script.owner.office.words = "This machine is not the registrar of names.".into();
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    let page = visitor.get("registrar").await.body;
    assert!(page.contains("is not the registrar") && !page.contains("registrar-stop"));
    assert!(page.contains("<legend>Who is given a name"));
    let form = "admission=by+hand&names_per_account=2&take_over=yes";
    assert_eq!(visitor.post("registrar-start", form).await.status, 200);
    assert!(stage.asked(&Command::RegistrarStart {
        admission: Some("by hand".into()),
        names_per_account: Some(2),
        take_over: true,
    }));
    stage.script().owner.office = at_work();
    stage.script().status.warnings = vec!["The registrar of names lied".into()];
    let page = visitor.get("registrar").await.body;
    assert!(page.contains("At work") && page.contains("The registrar of names lied"));
    assert!(page.contains("value=\"by hand\" checked"), "{page}");
    assert!(page.contains("given up") && !page.contains(HOSTILE));
    visitor.post("registrar-stop", "").await;
    assert!(stage.asked(&Command::RegistrarStop {}));
}

#[tokio::test]
async fn who_waits_is_answered_and_invitations_are_shown_once() {
    let mut script = alice();
    script.owner.office = at_work();
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    let form = format!("name=carol&account={CAROL}");
    visitor.post("registrar-accept", &form).await;
    visitor.post("registrar-decline", &form).await;
    let (name, account) = ("carol".to_owned(), Some(CAROL.to_owned()));
    let accept = Command::RegistrarAccept(NameWish {
        name: name.clone(),
        account: account.clone(),
    });
    assert!(stage.asked(&accept));
    assert!(stage.asked(&Command::RegistrarDecline(NameWish { name, account })));
    let codes = visitor.post("registrar-invite", "count=2").await.body;
    assert!(stage.asked(&Command::RegistrarInvite { count: 2 }));
    assert!(codes.contains("golden, silver"), "{codes}");
}

fn line(name: &str) -> String {
    let contact = CarriedContact {
        link: LINK.into(),
        name: name.into(),
        ..CarriedContact::default()
    };
    serde_json::to_string(&contact).unwrap()
}

fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| format!("%{byte:02x}"));
    bytes.collect()
}

#[tokio::test]
async fn contacts_are_downloaded_as_a_file() {
    let mut script = alice();
    script.owner.carried = vec![serde_json::from_str(&line("Bob")).unwrap()];
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    assert!(visitor.get("carry").await.body.contains("contacts.jsonl"));
    let file = visitor.get("contacts.jsonl").await;
    assert_eq!(file.body, line("Bob") + "\n");
    assert!(file.header("content-disposition").contains("attachment"));
}

#[tokio::test]
async fn contacts_are_taken_in_after_a_look() {
    let stage = Stage::set(alice()).await;
    let visitor = Visitor::enter(&stage.window).await;
    let text = format!("{}\nnonsense\n\n{}\n", line(HOSTILE), line("Dora"));
    let form = format!("contacts={}", encoded(&text));
    let page = visitor.post("contacts-look", &form).await.body;
    assert!(
        page.contains("In the file: 2") && page.contains("Dora"),
        "{page}"
    );
    assert!(page.contains("line 2: this is no exported contact"));
    assert!(!page.contains(HOSTILE));
    let import = |name: &str| Command::ContactImport {
        contact: serde_json::from_str(&line(name)).unwrap(),
        message: "It is me".into(),
    };
    assert!(!stage.asked(&import("Dora")), "not before somebody said so");
    let form = format!("{form}&message=It+is+me");
    let page = visitor.post("contacts-take", &form).await.body;
    assert!(stage.asked(&import("Dora")) && stage.asked(&import(HOSTILE)));
    assert!(page.contains("2 asked now"), "{page}");
    // Nobody may ask without end.
    stage.script().owner.asks_left = Some(1);
    let page = visitor.post("contacts-take", &form).await.body;
    assert!(
        page.contains("1 asked now") && page.contains(" 1 wait"),
        "{page}"
    );
    let nothing = visitor.post("contacts-look", "contacts=+").await.body;
    assert!(nothing.contains("no contact in it"));
}
