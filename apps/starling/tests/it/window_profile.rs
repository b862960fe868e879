//! The page of the own profile, and pictures beside people.

use std::collections::BTreeMap;

use starling_control::Command;
use starling_control::view::*;

use crate::window_http::{Answer, Visitor};
use crate::window_peer::{BOB, CAROL, Stage, alice};

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

fn showing(avatar: Option<&str>, about: &str) -> ShownProfile {
    ShownProfile {
        about: about.into(),
        avatar: avatar.map(str::to_owned),
    }
}

async fn stage(script: crate::window_peer::Script) -> (Stage, Visitor) {
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    (stage, visitor)
}

/// As a browser sends a form with a file, without script.
async fn choose(visitor: &Visitor, token: &str, content: &str) -> Answer {
    let own = format!("http://{}", visitor.host);
    let headers = [
        ("origin", own.as_str()),
        ("content-type", "multipart/form-data; boundary=x7x"),
    ];
    let body = format!(
        "--x7x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{token}\r\n\
         --x7x\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"../me.png\"\r\n\
         Content-Type: image/png\r\n\r\n{content}\r\n--x7x--\r\n"
    );
    visitor
        .send("POST", "profile-picture", &headers, &body)
        .await
}

#[tokio::test]
async fn the_page_shows_what_is_shown_to_whom_and_changes_it_without_script() {
    let mut script = alice();
    script.profile = OwnProfile {
        name: "Alice".into(),
        about: HOSTILE.into(),
        avatar: Some("abc".into()),
        visibility: BTreeMap::from([(ProfilePart::About, Visibility::Nobody)]),
        ..OwnProfile::default()
    };
    let (stage, visitor) = stage(script).await;
    let page = visitor.get("profile").await.body;
    assert!(!page.contains(HOSTILE) && page.contains("&lt;img src=x"));
    every_field_has_a_label(&page);
    assert!(page.contains("<option value=\"nobody\" selected>"));
    assert!(page.contains("enctype=\"multipart/form-data\""));
    assert!(page.contains("avatar?v=abc") && page.contains("alt=\"\""));
    assert!(page.contains("A picture is set.") && !page.contains("No picture is set."));

    let form = "name=Alice+S&about=Sailor&sees-about=network";
    assert_eq!(visitor.post("profile-set", form).await.status, 200);
    assert!(stage.asked(&Command::ProfileSet(ProfileChange {
        name: Some("Alice S".into()),
        about: Some("Sailor".into()),
        avatar: None,
        visibility: BTreeMap::from([(ProfilePart::About, Visibility::Network)]),
    })));
}

fn every_field_has_a_label(page: &str) {
    for labelled in [
        "profile-name",
        "profile-about",
        "profile-picture",
        "profile-sees-name",
        "profile-sees-mood",
        "profile-sees-about",
        "profile-sees-avatar",
    ] {
        let field = format!("id=\"{labelled}\"");
        let label = format!("<label for=\"{labelled}\">");
        assert!(page.contains(&field) && page.contains(&label), "{labelled}");
    }
}

#[tokio::test]
async fn a_chosen_picture_reaches_the_node_and_its_copy_goes() {
    let (stage, visitor) = stage(alice()).await;
    let answer = choose(&visitor, &visitor.token, "picture").await;
    assert_eq!((answer.status, answer.header("location")), (303, "profile"));
    let asked = stage.script().asked.clone();
    let set = asked.iter().find_map(|command| match command {
        Command::ProfileSet(change) => change.avatar.clone(),
        _ => None,
    });
    let path = std::path::PathBuf::from(set.expect("a file"));
    assert!(path.starts_with(stage.home.path().canonicalize().unwrap()));
    for _ in 0..250 {
        if !path.exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!path.exists(), "the copy is gone");
    wrong_forms_are_refused(&stage, &visitor).await;
}

#[tokio::test]
async fn pictures_stand_beside_people_and_the_mark_outside_of_them() {
    let mut script = alice();
    let bob = script
        .contacts
        .iter_mut()
        .find(|one| one.id == BOB)
        .unwrap();
    bob.shows = showing(Some("b0b0"), HOSTILE);
    bob.verification = Verification::Verified;
    script.requests = vec![ContactRequest {
        id: CAROL.into(),
        name: "Carol".into(),
        mood: HOSTILE.into(),
        shows: showing(Some("ca10"), "Carpenter."),
        ..ContactRequest::default()
    }];
    let (_stage, visitor) = stage(script).await;
    let chat = visitor.get(&format!("chat?with={BOB}")).await.body;
    let picture = format!("<img src=\"avatar?who={BOB}&amp;v=b0b0\"");
    assert_eq!(
        chat.matches(&picture).count(),
        2,
        "in the list and at the top"
    );
    // CONTACT-11: the mark is the program's; it stands behind the name, after the picture has ended.
    for (at, _) in chat.match_indices(&picture) {
        let frame = &chat[at..at + chat[at..].find("</span>").unwrap()];
        assert!(!frame.contains("verified"), "{frame}");
    }
    assert!(chat.contains("verified"));
    let page = visitor.get(&format!("contact?with={BOB}")).await.body;
    assert!(page.contains("in their own words") && !page.contains(HOSTILE));
    let request = visitor.get(&format!("request?from={CAROL}")).await.body;
    assert!(request.contains("Carpenter.") && !request.contains(HOSTILE));
    assert!(request.contains(&format!("avatar?who={CAROL}&amp;v=ca10")));
}

#[tokio::test]
async fn a_picture_is_served_as_one_or_not_at_all() {
    let mut script = alice();
    script.avatar = Avatar {
        avatar: "b0b0".into(),
        media_type: "image/jpeg".into(),
        data: "SlBFRw==".into(),
    };
    let (stage, visitor) = stage(script).await;
    let answer = visitor.get(&format!("avatar?who={BOB}&v=b0b0")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "JPEG"));
    assert_eq!(answer.header("content-type"), "image/jpeg");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(
        answer
            .header("content-security-policy")
            .contains("img-src 'self' data:;")
    );
    let who = Some(BOB.to_owned());
    assert!(stage.asked(&Command::ProfileAvatar { who }));
    stage.script().avatar.media_type = "text/html".into();
    assert_eq!(visitor.get("avatar").await.status, 404);
}

async fn wrong_forms_are_refused(stage: &Stage, visitor: &Visitor) {
    let before = stage.script().asked.len();
    assert_eq!(choose(visitor, "guessed", "picture").await.status, 403);
    assert_eq!(choose(visitor, &visitor.token, "").await.status, 400);
    let large = "p".repeat(11 * 1024 * 1024);
    assert_eq!(choose(visitor, &visitor.token, &large).await.status, 400);
    let own = format!("http://{}", visitor.host);
    let headers = [("origin", own.as_str()), ("content-type", "text/plain")];
    let damaged = visitor.send("POST", "profile-picture", &headers, "x").await;
    assert_eq!(damaged.status, 400);
    let asked = stage.script().asked[before..].to_vec();
    assert!(
        !asked
            .iter()
            .any(|command| matches!(command, Command::ProfileSet(_)))
    );
}
