//! What pages say, and that nothing from outside becomes markup or reorders what stands beside it.

use starling_control::view::*;
use starling_control::{Command, Event};

use crate::window_http::{Visitor, between};
use crate::window_lively::lively;
use crate::window_peer::{
    ALICE, BOB, CAROL, LINK, NOON, Script, Stage, account, alice, contact, message,
};

const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{202E}gpj";

async fn stage(script: Script) -> (Stage, Visitor) {
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    (stage, visitor)
}

fn chat(id: &str) -> String {
    format!("chat?with={id}")
}

#[tokio::test]
async fn hostile_names_texts_and_files_stay_text_on_every_page() {
    let mut script = alice();
    let bob = &mut script.contacts[0];
    (bob.name, bob.last.last_text, bob.unread) = (HOSTILE.into(), Some(HOSTILE.into()), 1);
    script.status.account = Some(account(HOSTILE));
    script.status.warnings = vec![HOSTILE.into()];
    script.status.paths = vec![PathView {
        who: HOSTILE.into(),
        remote: HOSTILE.into(),
        ..PathView::default()
    }];
    script.requests = vec![ContactRequest {
        id: CAROL.into(),
        name: HOSTILE.into(),
        message: HOSTILE.into(),
        ..ContactRequest::default()
    }];
    script.messages = vec![message("m1", BOB, HOSTILE, false, HOSTILE, NOON)];
    script.transfers = vec![Transfer {
        id: "t1".into(),
        contact: BOB.into(),
        who: HOSTILE.into(),
        name: HOSTILE.into(),
        words: HOSTILE.into(),
        at: NOON,
        ..Transfer::default()
    }];
    let ring = Call {
        id: "k1".into(),
        contact: BOB.into(),
        who: HOSTILE.into(),
        state: CallState::Ringing,
        ..Call::default()
    };
    let over = Call {
        id: "k2".into(),
        state: CallState::Ended,
        words: HOSTILE.into(),
        ..ring.clone()
    };
    script.calls = vec![ring, over];
    let (_stage, visitor) = stage(script).await;
    let (chat, about) = (chat(BOB), format!("contact?with={BOB}"));
    let request = format!("request?from={CAROL}");
    for page in [
        "", &chat, &about, &request, "calls", "files", "status", "account", "my-link",
    ] {
        let answer = visitor.get(page).await;
        assert_eq!(answer.status, 200, "{page}");
        assert!(
            answer.body.contains("&lt;script&gt;alert(1)"),
            "{page} shows the name"
        );
        assert_eq!(
            answer.body.matches("<script").count(),
            1,
            "{page}: {}",
            answer.body
        );
        assert!(!answer.body.contains("\"'&"), "{page}");
    }
    // A name's reordering characters are shown; a message keeps its text but cannot leave its own block.
    let names = visitor.get("files").await.body;
    assert!(!names.contains('\u{202E}') && names.contains('\u{FFFD}'));
    let body = visitor.get(&chat).await.body;
    assert!(body.contains("<p class=\"text\" dir=\"auto\">&lt;script&gt;"));
}

#[tokio::test]
async fn a_hostile_message_arrives_on_the_stream_as_one_escaped_line() {
    let (stage, visitor) = stage(alice()).await;
    let text = format!("one\r\ntwo\n\nevent: gone\ndata: x\n\n{HOSTILE}");
    let hostile = message("m9", BOB, "Bob", false, &text, NOON);
    let watcher = visitor.clone();
    let query = format!("page=chat&with={BOB}");
    let watching = tokio::spawn(async move { watcher.watch(&query, "m-m9").await });
    while !watching.is_finished() {
        stage.tell(Event::Message(hostile.clone()));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let seen = watching.await.unwrap();
    assert!(
        !seen.contains("\nevent: gone") && !seen.contains("<script"),
        "{seen}"
    );
    assert!(seen.contains("&lt;script&gt;"));
}

#[tokio::test]
async fn a_stream_sends_everything_on_connecting_and_after_missed_events() {
    let (stage, visitor) = stage(alice()).await;
    let watcher = visitor.clone();
    let watching = tokio::spawn(async move { watcher.watch("page=", "c-late").await });
    // The test's own clock: the stream's first picture holds Bob only.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    stage
        .script()
        .contacts
        .push(contact("late", "Late", Presence::Offline));
    stage.tell(Event::Lagged);
    let seen = watching.await.unwrap();
    assert!(seen.contains(&format!("c-{BOB}")) && seen.contains("id=\\\"own\\\""));
}

#[tokio::test]
async fn presence_is_said_in_words_and_chosen_in_the_side_bar() {
    let mut script = alice();
    let hour_ago = script_now() - 3_600_000;
    script.contacts[0] = Contact {
        presence: Presence::Offline,
        last_seen: Some(hour_ago),
        mood: "<b>at sea</b>".into(),
        ..script.contacts[0].clone()
    };
    let dora = Contact {
        presence: Presence::DoNotDisturb,
        in_call: true,
        ..contact("dora", "Dora", Presence::Online)
    };
    script.contacts.push(dora);
    let (stage, visitor) = stage(script).await;
    let body = visitor.get("").await.body;
    for words in [
        "Offline, last seen ",
        "&lt;b&gt;at sea&lt;/b&gt;",
        "Do not disturb, in a call",
        "How contacts see me",
        "Invisible: contacts see",
        "<label for=\"presence-choice\">",
    ] {
        assert!(body.contains(words), "{words}");
    }
    let form = "choice=away&mood=out&share_calls=yes";
    assert_eq!(visitor.post("presence-set", form).await.status, 200);
    let change = PresenceChange {
        choice: Some(PresenceChoice::Away),
        mood: Some("out".into()),
        share_calls: Some(true),
        away_after: None,
    };
    assert!(stage.asked(&Command::PresenceSet(change)));
    assert_eq!(visitor.post("presence-active", "").await.status, 200);
    assert!(stage.asked(&Command::PresenceActive {}));
    let watcher = visitor.clone();
    let watching = tokio::spawn(async move { watcher.watch("page=", "Away · out").await });
    while !watching.is_finished() {
        let own = OwnPresence {
            choice: PresenceChoice::Away,
            shown: Presence::Away,
            mood: "out".into(),
            ..OwnPresence::default()
        };
        stage.script().status.supernode = Some(SupernodeStatus {
            connected: true,
            ..SupernodeStatus::default()
        });
        stage.script().status.presence = Some(own.clone());
        stage.tell(Event::OwnPresence(own));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    watching.await.unwrap();
}

fn script_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn the_first_page_offers_an_account_a_backup_and_a_network() {
    let (stage, visitor) = stage(Script::default()).await;
    for page in ["", "status", "chat?with=x"] {
        let body = visitor.get(page).await.body;
        for words in [
            "Create my account",
            "I have a link or a network file",
            "I have a backup of my account",
        ] {
            assert!(body.contains(words), "{page}: {words}");
        }
    }
    let answer = visitor.post("account-create", "name=Alice&source=").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"go":"./"}"#)
    );
    assert!(stage.asked(&Command::AccountCreate {
        name: "Alice".into()
    }));
    assert!(
        visitor
            .get("")
            .await
            .body
            .contains("Hello, <bdi>Alice</bdi>")
    );
    assert_eq!(visitor.post("account-create", "name=+").await.status, 400);
}

#[tokio::test]
async fn a_link_only_ever_leads_to_a_question() {
    let (stage, visitor) = stage(alice()).await;
    let body = visitor.get(&format!("confirm?link={LINK}")).await.body;
    assert!(body.contains("Send a contact request?") && body.contains("192.0.2.9:27474"));
    assert!(body.contains("learn each other's network addresses"));
    assert!(
        !stage
            .script()
            .asked
            .iter()
            .any(|c| matches!(c, Command::ContactAdd { .. }))
    );
    let bad = visitor.get("confirm?link=http%3A%2F%2Fevil").await;
    assert_eq!(bad.status, 400);
    assert!(bad.body.contains("a Starling link begins with"));
    let sent = visitor
        .post("contact-add", &format!("link={LINK}&message=It+is+Alice"))
        .await;
    assert!(sent.body.contains("chat?with=dora"), "{}", sent.body);
}

#[tokio::test]
async fn warnings_come_before_the_own_link() {
    let mut script = alice();
    script.own_link.warnings = vec!["The link shows this machine's address 192.168.1.7.".into()];
    let (stage, visitor) = stage(script).await;
    let body = visitor.get("my-link").await.body;
    let warning = body.find("192.168.1.7").unwrap();
    assert!(warning < body.find(LINK).unwrap() && body.contains("I have read this, show the link"));
    stage.script().own_link.warnings.clear();
    let body = visitor.get("my-link").await.body;
    assert!(
        !body.contains("I have read this") && body.contains("aria-label=\"QR code of your link\"")
    );
}

#[tokio::test]
async fn a_request_says_what_accepting_gives_away() {
    let mut script = alice();
    script.requests = vec![ContactRequest {
        id: CAROL.into(),
        name: "Carol".into(),
        message: "It is me".into(),
        at: NOON,
        ..ContactRequest::default()
    }];
    let (stage, visitor) = stage(script).await;
    assert!(visitor.get("").await.body.contains("wants to be a contact"));
    let body = visitor.get(&format!("request?from={CAROL}")).await.body;
    for words in [
        "Accept",
        "Decline",
        "Block",
        "It is me",
        "their device will learn all network addresses of this machine",
    ] {
        assert!(body.contains(words), "{words}");
    }
    let accepted = visitor.post("contact-accept", &format!("id={CAROL}")).await;
    assert_eq!(accepted.body, format!("{{\"go\":\"chat?with={CAROL}\"}}"));
    assert_eq!(
        visitor.get(&format!("request?from={CAROL}")).await.status,
        404
    );
    assert!(stage.asked(&Command::ContactAccept { id: CAROL.into() }));
}

#[tokio::test]
async fn a_chat_says_where_each_message_is_and_pages_upwards() {
    let mut script = alice();
    let texts = (0..120_u64).map(|n| {
        message(
            &format!("n{n}"),
            BOB,
            "Bob",
            n % 2 == 0,
            &format!("text {n}."),
            NOON + n * 60_000,
        )
    });
    script.messages = texts.collect();
    script.messages[118].delivery = Delivery::Waiting;
    script.contacts[0].unread = 1;
    let (stage, visitor) = stage(script).await;
    let body = visitor.get(&chat(BOB)).await.body;
    assert!(body.contains("text 119.") && body.contains("text 70.") && !body.contains("text 69."));
    assert!(body.contains("Waiting for Bob to come online") && body.contains("Delivered"));
    assert_eq!(body.matches("id=\"first-unread\"").count(), 1);
    assert!(body.find("first-unread").unwrap() > body.find("text 118.").unwrap());
    assert!(
        stage.asked(&Command::ChatRead { who: BOB.into() }),
        "opening a chat is reading it"
    );
    let earlier = between(&body, "id=\"earlier\" href=\"", "\"").replace("&amp;", "&");
    let body = visitor.get(&earlier).await.body;
    assert!(body.contains("text 69.") && body.contains("text 20.") && !body.contains("text 70."));
    let visible_days = body.matches("<h2 class=\"day\">").count();
    assert_eq!(visible_days, 1, "one heading for one day");
}

#[tokio::test]
async fn files_and_missed_calls_stand_in_the_chat_and_on_their_pages() {
    let mut script = alice();
    let offer = |id: &str, name: &str, state| Transfer {
        id: id.into(),
        contact: BOB.into(),
        who: "Bob".into(),
        name: name.into(),
        size: 4_200_000,
        done: 2_100_000,
        rate: 700_000,
        state,
        at: NOON,
        path: Some("/home/alice/Downloads/song.flac".into()),
        ..Transfer::default()
    };
    script.transfers = vec![
        offer("t1", "setup.exe", TransferState::Offered),
        offer("t2", "film.mkv", TransferState::Running),
        offer("t3", "song.flac", TransferState::Done),
    ];
    let missed = Call {
        id: "k1".into(),
        contact: BOB.into(),
        who: "Bob".into(),
        started_at: NOON,
        record: CallRecord {
            missed: true,
            ..CallRecord::default()
        },
        ..Call::default()
    };
    script.calls = vec![missed];
    let (_stage, visitor) = stage(script).await;
    for page in [chat(BOB), "files".into()] {
        let body = visitor.get(&page).await.body;
        assert!(
            body.contains("can run programs") && body.contains("Save in another folder"),
            "{page}"
        );
        assert!(body.contains("700 kB/s · 3 seconds left"), "{page}");
        assert!(
            body.contains("Saved as <bdi class=\"path\">/home/alice/Downloads/song.flac"),
            "{page}"
        );
        assert!(!body.contains("href=\"/home"), "{page}");
    }
    assert!(visitor.get(&chat(BOB)).await.body.contains("Missed call"));
    assert!(visitor.get("calls").await.body.contains("Missed call"));
}

#[tokio::test]
async fn a_call_is_visible_on_every_page() {
    let mut script = alice();
    let call = Call {
        id: "k1".into(),
        contact: BOB.into(),
        who: "Bob".into(),
        outgoing: true,
        state: CallState::Established,
        answered_at: Some(1),
        quality: Some(CallQuality {
            path: "relay".into(),
            rtt_ms: Some(31.4),
            ..CallQuality::default()
        }),
        warnings: vec!["no microphone was found".into()],
        ..Call::default()
    };
    let carol = Call {
        id: "k2".into(),
        contact: CAROL.into(),
        who: "Carol".into(),
        state: CallState::Ringing,
        ..Call::default()
    };
    script.calls = vec![call, carol];
    let (_stage, visitor) = stage(script).await;
    for page in [
        "",
        "add",
        "my-link",
        "calls",
        "files",
        "network",
        "status",
        "account",
        &chat(BOB),
        "no-such-page",
    ] {
        let body = visitor.get(page).await.body;
        for words in [
            "Call with Bob",
            "Mute",
            "Hold",
            "Hang up",
            "Through a relay, 31 ms",
            "no microphone was found",
        ] {
            assert!(body.contains(words), "{page}: {words}");
        }
        assert!(
            body.contains("</bdi></strong> is calling you") && body.contains("Answer"),
            "{page}"
        );
    }
}

#[tokio::test]
async fn a_failure_is_a_sentence_with_and_without_script() {
    let (_stage, visitor) = stage(alice()).await;
    let scripted = visitor.post("call-start", &format!("who={BOB}")).await;
    assert_eq!(scripted.status, 409);
    assert!(scripted.body.contains("you are in a call already"));
    let headers = [
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let plain = visitor
        .send(
            "POST",
            "call-start",
            &headers,
            &format!("who={BOB}&token={}", visitor.token),
        )
        .await;
    assert_eq!(plain.status, 409);
    assert!(
        plain.body.contains("<p>you are in a call already"),
        "{}",
        plain.body
    );
    let made = format!("name=Family&token={}", visitor.token);
    let made = visitor.send("POST", "network-init", &headers, &made).await;
    assert!(
        made.body.contains("The network <bdi>Family</bdi> is made") && made.body.contains(LINK)
    );
}

#[tokio::test]
async fn the_sound_test_is_always_offered() {
    let (stage, visitor) = stage(alice()).await;
    assert!(visitor.get("").await.body.contains("Echo / Sound Test"));
    assert!(
        visitor
            .post("echo-open", "")
            .await
            .body
            .contains("chat?with=echo0")
    );
    assert!(stage.asked(&Command::EchoOpen {}));
    let body = visitor.get(&chat("echo0")).await.body;
    assert!(body.contains("Call it to hear yourself") && !body.contains(&format!("c-{ALICE}")));
}

#[tokio::test]
async fn a_networks_owner_finds_link_and_file_again() {
    let stage = Stage::set(lively()).await;
    let visitor = Visitor::enter(&stage.window).await;
    let page = visitor.get("network").await.body;
    assert!(page.contains(LINK) && page.contains("starling-network 1"));
    if let Some(network) = &mut stage.script().status.network {
        (network.link, network.file) = (None, None);
    }
    let page = visitor.get("network").await.body;
    assert!(!page.contains(LINK), "a member hands out nothing");
}

#[tokio::test]
async fn what_was_said_with_a_removed_contact_can_still_be_read() {
    let mut script = alice();
    let mut gone = script.contacts.remove(0);
    gone.relation = Relation::Removed;
    script.earlier = vec![gone];
    script.messages = vec![message("m1", BOB, "Bob", false, "See you in May", NOON)];
    let (_stage, visitor) = stage(script).await;
    assert!(visitor.get("").await.body.contains("Earlier"));
    let page = visitor.get(&chat(BOB)).await.body;
    assert!(page.contains("See you in May") && page.contains("No longer a contact"));
    assert!(!page.contains("id=\"composer\""));
    let page = visitor.get(&format!("contact?with={BOB}")).await.body;
    assert!(!page.contains("contact-remove") && !page.contains("contact-nickname"));
}

#[tokio::test]
async fn a_contacts_page_keeps_lists_and_notes_and_says_what_a_denied_one_sees() {
    let mut script = alice();
    let bob = &mut script.contacts[0];
    bob.lists = vec![HOSTILE.into()];
    bob.note = Some(HOSTILE.into());
    bob.denied = vec!["call".into()];
    let (_stage, visitor) = stage(script).await;
    let page = visitor.get(&format!("contact?with={BOB}")).await.body;
    assert!(!page.contains("<script>alert"));
    assert!(page.contains("Denied. It rings for a few seconds at them, then you decline."));
    for action in [
        "contact-favourite",
        "contact-note",
        "contact-list-add",
        "contact-list-remove",
        "contact-permit",
    ] {
        assert!(page.contains(&format!("action=\"{action}\"")), "{action}");
    }
}

#[tokio::test]
async fn contact_11_12_the_mark_stands_outside_the_name_and_a_changed_key_is_a_banner() {
    let mut script = alice();
    let bob = &mut script.contacts[0];
    bob.name = "Bob ✔ verified".into();
    let (_stage, visitor) = stage(script).await;
    assert!(
        !visitor
            .get(&chat(BOB))
            .await
            .body
            .contains("class=\"mark\"")
    );

    let mut script = alice();
    let bob = &mut script.contacts[0];
    bob.verification = Verification::Verified;
    let (_stage, visitor) = stage(script).await;
    let page = visitor.get(&chat(BOB)).await.body;
    assert!(page.contains("</bdi><span class=\"mark\""), "{page}");

    let mut script = alice();
    let bob = &mut script.contacts[0];
    bob.verification = Verification::BeforeKeyChanged;
    bob.key_changed_at = Some(NOON);
    let (_stage, visitor) = stage(script).await;
    for page in [chat(BOB), format!("contact?with={BOB}")] {
        let page = visitor.get(&page).await.body;
        assert!(page.contains("verified before the key changed"));
        assert!(page.contains("recovered with its 24 words") && page.contains("contact-key-seen"));
    }
}
