//! What people show each other: at once, later, to whom, and on which devices.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use image::{DynamicImage, ImageBuffer, Rgb};
use starling_control::view::{ProfilePart, Visibility};
use starling_control::{Command, ErrorKind, Event, view};

use crate::cast::{Actor, PATIENCE, Town, befriend, folder};
use crate::devices;

/// Five times what a change may take where the way costs nothing.
const SOON: Duration = Duration::from_secs(2);

/// A picture of one colour, larger than contacts get.
pub fn picture(folder: &Path, name: &str, colour: [u8; 3]) -> PathBuf {
    let file = folder.join(name);
    let pixels = ImageBuffer::from_pixel(500, 400, Rgb(colour));
    DynamicImage::ImageRgb8(pixels)
        .save(&file)
        .expect("written");
    file
}

pub async fn show(actor: &Actor, change: view::ProfileChange) -> view::OwnProfile {
    actor.ask(Command::ProfileSet(change)).await
}

fn about(text: &str) -> view::ProfileChange {
    view::ProfileChange {
        about: Some(text.into()),
        ..view::ProfileChange::default()
    }
}

fn named(name: &str) -> view::ProfileChange {
    view::ProfileChange {
        name: Some(name.into()),
        ..view::ProfileChange::default()
    }
}

async fn says(actor: &Actor, mood: &str) {
    let mood = view::PresenceChange {
        mood: Some(mood.into()),
        ..view::PresenceChange::default()
    };
    let _: view::OwnPresence = actor.ask(Command::PresenceSet(mood)).await;
}

/// Waits until another own device is heard.
async fn until_own(actor: &Actor, fits: impl Fn(&view::OwnProfile) -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let own: view::OwnProfile = actor.ask(Command::ProfileShow {}).await;
        if fits(&own) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{own:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn avatar(file: &Path) -> view::ProfileChange {
    view::ProfileChange {
        avatar: Some(file.display().to_string()),
        ..view::ProfileChange::default()
    }
}

fn seen_by(parts: &[ProfilePart], visibility: Visibility) -> view::ProfileChange {
    view::ProfileChange {
        visibility: parts.iter().map(|part| (*part, visibility)).collect(),
        ..view::ProfileChange::default()
    }
}

pub async fn contact(actor: &Actor, name: &str) -> Option<view::Contact> {
    let list: Vec<view::Contact> = actor.ask(Command::ContactList {}).await;
    list.into_iter().find(|contact| contact.name == name)
}

/// Waits until a contact shows what fits.
pub async fn until_shows(
    actor: &Actor,
    name: &str,
    what: &str,
    fits: impl Fn(&view::Contact) -> bool,
) -> view::Contact {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match contact(actor, name).await {
            Some(contact) if fits(&contact) => return contact,
            seen => assert!(
                tokio::time::Instant::now() < deadline,
                "{name} does not show {what}: {seen:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The colour in the middle of a contact's picture.
async fn colour(actor: &Actor, who: Option<&str>) -> [u8; 3] {
    let who = who.map(str::to_owned);
    let avatar: view::Avatar = actor.ask(Command::ProfileAvatar { who }).await;
    assert_eq!(avatar.media_type, "image/jpeg");
    let bytes = data_encoding::BASE64.decode(avatar.data.as_bytes());
    let image = image::load_from_memory(&bytes.expect("base64")).expect("a picture");
    assert_eq!((image.width(), image.height()), (256, 256));
    image.to_rgb8().get_pixel(128, 128).0
}

fn alike(one: [u8; 3], other: [u8; 3]) -> bool {
    one.iter().zip(other).all(|(a, b)| a.abs_diff(b) < 8)
}

const RED: [u8; 3] = [200, 30, 30];
const BLUE: [u8; 3] = [30, 30, 200];

#[tokio::test(flavor = "multi_thread")]
async fn profile_09_contacts_see_a_change_at_once_or_when_they_come() {
    let town = Town::found().await;
    let [a, b, files] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    // What was chosen before they met is asked for.
    let red = picture(files.path(), "red.png", RED);
    show(&alice, avatar(&red)).await;
    befriend(&mut alice, &mut bob).await;
    until_shows(&bob, "Alice", "red", |alice| alice.shows.avatar.is_some()).await;
    assert!(alike(colour(&bob, Some("Alice")).await, RED));

    let begin = Instant::now();
    show(&alice, about("Sailor.\n\nLives in Kiel. \u{202E}✔")).await;
    let seen = until_shows(&bob, "Alice", "text", |alice| !alice.shows.about.is_empty()).await;
    println!("a text was seen after {:?}", begin.elapsed());
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    assert_eq!(seen.shows.about, "Sailor.\n\nLives in Kiel.");
    let blue = picture(files.path(), "blue.jpg", BLUE);
    let begin = Instant::now();
    let before = seen.shows.avatar;
    let own = show(&alice, avatar(&blue)).await;
    let seen = until_shows(&bob, "Alice", "blue", |alice| alice.shows.avatar != before).await;
    println!("a picture was seen after {:?}", begin.elapsed());
    assert_eq!(seen.shows.avatar, own.avatar);
    assert!(alike(colour(&bob, Some("Alice")).await, BLUE));
    assert!(alike(colour(&alice, None).await, BLUE));

    // Bob is away, and finds it when he is back; it is all there over a restart of Alice, too.
    bob.node.stop().await;
    show(&alice, about("Carpenter.")).await;
    alice.node.stop().await;
    let alice = Actor::start(a.path()).await;
    let bob = Actor::start(b.path()).await;
    let changed = |alice: &view::Contact| alice.shows.about == "Carpenter.";
    until_shows(&bob, "Alice", "the new text", changed).await;
    let own: view::OwnProfile = alice.ask(Command::ProfileShow {}).await;
    assert_eq!(
        (own.name.as_str(), own.about.as_str()),
        ("Alice", "Carpenter.")
    );

    // A picture is removed.
    show(&alice, avatar(Path::new(""))).await;
    until_shows(&bob, "Alice", "no picture", |alice| {
        alice.shows.avatar.is_none()
    })
    .await;
    let none: Result<view::Avatar, _> = bob
        .try_ask(Command::ProfileAvatar {
            who: Some("Alice".into()),
        })
        .await;
    assert_eq!(none.expect_err("gone").data.kind, ErrorKind::NotFound);
    for actor in [alice, bob] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_04_what_is_nobodys_vanishes_at_contacts() {
    let town = Town::found().await;
    let [a, b, files] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    show(&alice, about("Sailor.")).await;
    show(&alice, avatar(&picture(files.path(), "red.png", RED))).await;
    says(&alice, "at sea").await;
    let all = |alice: &view::Contact| {
        !alice.shows.about.is_empty() && alice.shows.avatar.is_some() && alice.mood == "at sea"
    };
    until_shows(&bob, "Alice", "everything", all).await;
    let account = contact(&bob, "Alice").await.expect("Alice").id;

    let hidden = show(&alice, seen_by(&ProfilePart::ALL, Visibility::Nobody)).await;
    assert_eq!(hidden.about, "Sailor.", "it stays on the own devices");
    let nothing = |alice: &view::Contact| {
        alice.id == account && alice.shows == view::ShownProfile::default() && alice.mood.is_empty()
    };
    let seen = until_shows(&bob, "", "nothing", nothing).await;
    assert_eq!(seen.title(), &account[..8], "nor the name");
    let own: view::OwnPresence = alice.ask(Command::PresenceShow {}).await;
    assert_eq!(own.mood, "at sea");
    let status: view::Status = alice.ask(Command::Status {}).await;
    assert_eq!(status.account.expect("an account").name, "Alice");

    show(&alice, seen_by(&ProfilePart::ALL, Visibility::Contacts)).await;
    until_shows(&bob, "Alice", "everything again", all).await;
    show(&alice, named("Alice Sailor")).await;
    until_shows(&bob, "Alice Sailor", "the other name", all).await;
    for actor in [alice, bob] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_10_12_whoever_was_blocked_sees_and_keeps_nothing_new() {
    let town = Town::found().await;
    let [a, b, c] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    let mut carol = town.settle(c.path(), "Carol").await;
    befriend(&mut alice, &mut bob).await;
    show(&bob, about("Bob's text")).await;
    until_shows(&alice, "Bob", "his text", |bob| !bob.shows.about.is_empty()).await;
    show(&alice, about("before")).await;
    until_shows(&bob, "Alice", "her text", |alice| {
        alice.shows.about == "before"
    })
    .await;
    alice
        .ask::<()>(Command::ContactBlock { who: "Bob".into() })
        .await;
    let blocked = contact(&alice, "Bob").await.expect("Bob");
    assert_eq!(blocked.shows, view::ShownProfile::default());
    devices::befriend_as(&mut alice, &carol, "Carol").await;
    show(&alice, about("after")).await;
    until_shows(&carol, "Alice", "her text", |alice| {
        alice.shows.about == "after"
    })
    .await;
    let seen = contact(&bob, "Alice").await.expect("Alice");
    assert_eq!(seen.shows.about, "before");
    unseen_by(&alice, &mut carol).await;
    for actor in [alice, bob, carol] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_13_it_is_the_same_on_all_devices() {
    let town = Town::found().await;
    let [a, b, p, files] = [folder(), folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    show(&alice, about("Sailor.")).await;
    show(&alice, avatar(&picture(files.path(), "red.png", RED))).await;
    show(&alice, seen_by(&[ProfilePart::Name], Visibility::Nobody)).await;
    let mut phone = devices::fresh(p.path()).await;
    devices::add(&mut alice, &mut phone, "phone", false).await;
    let same: view::OwnProfile = alice.ask(Command::ProfileShow {}).await;
    until_own(&phone, |own| *own == same).await;
    // The phone does not sign: the text is its to change, the name is not.
    until_shows(&bob, "", "the text", |alice| alice.shows.about == "Sailor.").await;
    phone.until_registered().await;
    show(&phone, about("On land.")).await;
    until_shows(&bob, "", "the text", |alice| {
        alice.shows.about == "On land."
    })
    .await;
    until_own(&alice, |own| own.about == "On land.").await;
    let refused: Result<view::OwnProfile, _> = phone.try_ask(Command::ProfileSet(named("M"))).await;
    assert_eq!(refused.expect_err("no key").data.kind, ErrorKind::State);
    for actor in [alice, phone, bob] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_13_a_backup_brings_it_back() {
    let [a, again, files] = [folder(), folder(), folder()];
    let alice = Actor::create(a.path(), "Alice").await;
    show(&alice, about("Sailor.")).await;
    show(&alice, avatar(&picture(files.path(), "red.png", RED))).await;
    show(&alice, seen_by(&[ProfilePart::Name], Visibility::Nobody)).await;
    says(&alice, "at sea").await;
    let file = files.path().join("backup").display().to_string();
    let passphrase = "correct horse battery".to_owned();
    let backup = Command::AccountBackup {
        file: file.clone(),
        passphrase: passphrase.clone(),
    };
    alice.ask::<()>(backup).await;
    let saved: view::OwnProfile = alice.ask(Command::ProfileShow {}).await;
    assert_eq!(
        (saved.name.as_str(), saved.mood.as_str()),
        ("Alice", "at sea")
    );
    alice.node.stop().await;
    let back = Actor::start(again.path()).await;
    let restore = Command::AccountRestore { file, passphrase };
    back.ask::<view::Account>(restore).await;
    let own: view::OwnProfile = back.ask(Command::ProfileShow {}).await;
    assert_eq!(own, saved);
    back.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_01_what_is_too_long_or_no_picture_is_refused_with_a_sentence() {
    let home = folder();
    let alice = Actor::create(home.path(), "Alice").await;
    let gif = home.path().join("moving.gif");
    std::fs::write(&gif, b"GIF89a\x01\0\x01\0\0\0\0").expect("written");
    for (change, words) in [
        (about(&"a".repeat(10_000)), "500 characters"),
        (named(&"n".repeat(10_000)), "128 bytes"),
        (named(" "), "1 to 128 bytes"),
        (avatar(&gif), "JPEG, PNG or WebP"),
        (avatar(home.path()), "has to be a file"),
        (avatar(&home.path().join("none.png")), "cannot be read"),
    ] {
        let refused: Result<view::OwnProfile, _> = alice.try_ask(Command::ProfileSet(change)).await;
        let refused = refused.expect_err("refused");
        assert_eq!(refused.data.kind, ErrorKind::Usage);
        assert!(refused.message.contains(words), "{}", refused.message);
    }
    let own: view::OwnProfile = alice.ask(Command::ProfileShow {}).await;
    let at_first = [
        (ProfilePart::Name, Visibility::Network),
        (ProfilePart::Mood, Visibility::Contacts),
        (ProfilePart::About, Visibility::Contacts),
        (ProfilePart::Avatar, Visibility::Contacts),
    ];
    assert_eq!(own.visibility, BTreeMap::from(at_first));
    assert_eq!((own.about.as_str(), own.avatar), ("", None));
    // Every script, and nothing that turns the text beside it.
    let text = "שלום \u{202E}مرحبا\u{2066} 你好 नमस्ते สวัสดี\u{200B} ✔";
    let own = show(&alice, about(text)).await;
    assert_eq!(own.about, "שלום مرحبا 你好 नमस्ते สวัสดี");
    alice.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_14_a_request_shows_what_strangers_may_see_and_no_more() {
    let town = Town::found().await;
    let [a, b, files] = [folder(), folder(), folder()];
    let alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    alice.until_registered().await;
    bob.until_registered().await;
    show(&alice, about("Sailor.")).await;
    show(&alice, avatar(&picture(files.path(), "red.png", RED))).await;
    says(&alice, "at sea").await;
    let shown = [ProfilePart::Avatar, ProfilePart::Mood];
    show(&alice, seen_by(&shown, Visibility::Network)).await;
    show(&alice, seen_by(&[ProfilePart::Name], Visibility::Contacts)).await;
    let link: view::OwnLink = bob.ask(Command::ContactLink {}).await;
    let ask = Command::ContactAdd {
        link: link.link,
        message: "Guess who".into(),
    };
    alice.ask::<view::Contact>(ask).await;
    let request = bob
        .until("a request", |event| match event {
            Event::Request(request) => Some(request.clone()),
            _ => None,
        })
        .await;
    assert_eq!(
        (request.name.as_str(), request.mood.as_str()),
        ("", "at sea")
    );
    assert_eq!(request.shows.about, "", "that is for contacts");
    assert!(request.shows.avatar.is_some());
    assert!(alike(colour(&bob, Some(&request.id)).await, RED));
    let list: Vec<view::ContactRequest> = bob.ask(Command::ContactRequests {}).await;
    assert_eq!(list, vec![request.clone()]);

    let accept = Command::ContactAccept { id: request.id };
    bob.ask::<view::Contact>(accept).await;
    let all = |alice: &view::Contact| alice.shows.about == "Sailor.";
    until_shows(&bob, "Alice", "everything", all).await;
    for actor in [alice, bob] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_12_whoever_is_blocked_while_it_waits_its_turn_hears_nothing() {
    let town = Town::found().await;
    let [a, b] = [folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    show(&alice, about("Not for Bob.")).await;
    befriend(&mut alice, &mut bob).await;
    // Within the second in which a new contact's messages go first.
    alice
        .ask::<()>(Command::ContactBlock { who: "Bob".into() })
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let seen = contact(&bob, "Alice").await.expect("Alice");
    assert_eq!(seen.shows, view::ShownProfile::default());
    for actor in [alice, bob] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_10_whoever_is_visible_again_tells_at_once() {
    let town = Town::found().await;
    let [a, b] = [folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    show(&alice, about("before")).await;
    let says = |text: &'static str| move |alice: &view::Contact| alice.shows.about == text;
    until_shows(&bob, "Alice", "the text", says("before")).await;
    let be = |choice| {
        Command::PresenceSet(view::PresenceChange {
            choice: Some(choice),
            ..view::PresenceChange::default()
        })
    };
    let hidden = be(view::PresenceChoice::Invisible);
    alice.ask::<view::OwnPresence>(hidden).await;
    show(&alice, about("after")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = contact(&bob, "Alice").await.expect("Alice");
    assert_eq!(seen.shows.about, "before");
    let begin = Instant::now();
    let visible = be(view::PresenceChoice::Online);
    alice.ask::<view::OwnPresence>(visible).await;
    until_shows(&bob, "Alice", "the text", says("after")).await;
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    for actor in [alice, bob] {
        actor.node.stop().await;
    }
    town.end().await;
}

/// PROFILE-10: Carol may not see whether Alice is there, so nothing comes that would say so.
async fn unseen_by(alice: &Actor, carol: &mut Actor) {
    let denied = |allowed| Command::ContactPermit {
        who: "Carol".into(),
        what: "presence".into(),
        allowed,
    };
    alice.ask::<view::Contact>(denied(false)).await;
    show(alice, about("unseen")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = contact(carol, "Alice").await.expect("Alice");
    assert_eq!(seen.shows.about, "after");
    alice.ask::<view::Contact>(denied(true)).await;
    until_shows(carol, "Alice", "the rest", |alice| {
        alice.shows.about == "unseen"
    })
    .await;
    carol
        .until("the same in an event", |event| match event {
            Event::Contact(contact) => (contact.shows.about == "unseen").then_some(()),
            _ => None,
        })
        .await;
}
