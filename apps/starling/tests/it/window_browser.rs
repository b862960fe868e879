//! The window in a real browser: the way in, first run, a contact, a message, a file, a call, both themes, a narrow window.

use std::path::{Path, PathBuf};

use starling_control::view::*;
use starling_control::{Command, Event};
use tokio::runtime::Handle;

use crate::window_cdp::Browser;
use crate::window_http::blocking;
use crate::window_peer::{BOB, CAROL, LINK, NOON, Script, Stage, account, alice, contact, message};

const WIDE: (u32, u32) = (1120, 720);

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_makes_an_account_adds_a_contact_and_writes() {
    if !Browser::is_installed() {
        return;
    }
    let stage = Stage::set(Script::default()).await;
    let stage = run(stage, |browser, stage| {
        enter(browser, stage);
        browser.wait_for("document.querySelector('h1').innerText === 'Welcome to Starling'");
        assert_eq!(browser.unnamed_controls(), Vec::<String>::new());
        keep("first-run", &browser.picture());
        browser.type_text("Alice");
        browser.press("Enter", 0);
        browser.wait_for("document.querySelector('h1').innerText.startsWith('Hello, Alice')");

        browser.click("a[href='add']");
        browser.click("#link");
        browser.type_text(LINK);
        browser.click("form[action='confirm'] button");
        browser.wait_for("document.querySelector('h1').innerText === 'Send a contact request?'");
        browser.click("#message");
        browser.type_text("It is Alice");
        browser.click("form[action='contact-add'] button");
        browser.wait_for("document.querySelector('#chat-head h1')?.innerText === 'Dora'");

        browser.click("#text");
        browser.type_text("Hello <b>Dora</b> مرحبا 👋🏽");
        browser.press("Enter", 8);
        browser.type_text("second line");
        browser.press("Enter", 0);
        browser.wait_for("document.querySelector('.bubble.out .text')?.innerText === 'Hello <b>Dora</b> مرحبا 👋🏽\\nsecond line'");
        browser.wait_for("document.querySelector('.delivery')?.innerText.includes('Delivered')");
        assert_eq!(browser.eval("document.querySelector('#text').value"), "");
        assert_eq!(browser.eval("document.querySelectorAll('.bubble b').length"), 0);
    })
    .await;
    let asked = Command::ContactAdd {
        link: LINK.into(),
        message: "It is Alice".into(),
    };
    assert!(stage.asked(&asked));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_arrive_without_losing_what_is_being_written() {
    if !Browser::is_installed() {
        return;
    }
    let stage = Stage::set(alice()).await;
    run(stage, |browser, stage| {
        enter(browser, stage);
        browser.click(&format!("[id='c-{BOB}']"));
        browser.wait_for("document.querySelector('#chat-head')");
        browser.wait_for("document.activeElement.id === 'text'");
        browser.type_text("half a sen");

        stage
            .script()
            .messages
            .push(message("m1", BOB, "Bob", false, "Are you there?", NOON));
        stage.tell(Event::Message(message(
            "m1",
            BOB,
            "Bob",
            false,
            "Are you there?",
            NOON,
        )));
        browser
            .wait_for("document.querySelector('.bubble.in .text')?.innerText === 'Are you there?'");
        browser.wait_for("document.querySelector('#announce').innerText === 'Are you there?'");
        wait_until(|| stage.asked(&Command::ChatRead { who: BOB.into() }));

        let ringing = Call {
            id: "k1".into(),
            contact: CAROL.into(),
            who: "Carol".into(),
            state: CallState::Ringing,
            ..Call::default()
        };
        stage.tell(Event::Call(ringing.clone()));
        browser.wait_for(
            "document.querySelector('#ringing')?.innerText.includes('Carol is calling you')",
        );
        keep("ringing", &browser.picture());
        browser.click("#ringing button.answer");
        wait_until(|| {
            stage
                .script()
                .asked
                .iter()
                .any(|c| matches!(c, Command::CallAnswer { .. }))
        });
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis() as u64;
        for second in 0..3 {
            let answered_at = Some(now - 63_000 - second * 1000);
            stage.tell(Event::Call(Call {
                state: CallState::Established,
                answered_at,
                ..ringing.clone()
            }));
            std::thread::sleep(std::time::Duration::from_millis(150));
        }
        browser.wait_for("document.querySelector('.bar .timer')?.innerText.startsWith('1:0')");
        browser.press("m", 2);
        wait_until(|| {
            stage.asked(&Command::CallMute {
                id: Some("k1".into()),
                on: true,
            })
        });
        stage.tell(Event::Call(Call {
            state: CallState::Ended,
            words: "ended by Carol".into(),
            ..ringing
        }));
        browser.wait_for("document.querySelector('.ended')?.innerText.includes('ended by Carol')");

        assert_eq!(
            browser.eval("document.querySelector('#text').value"),
            "half a sen"
        );
        assert_eq!(browser.eval("document.activeElement.id"), "text");
        browser.click("a[href='status']");
        browser.wait_for("document.querySelector('#status')");
        browser.click(&format!("[id='c-{BOB}']"));
        browser.wait_for("document.querySelector('#text')?.value === 'half a sen'");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_file_becomes_a_card() {
    if !Browser::is_installed() {
        return;
    }
    let stage = Stage::set(alice()).await;
    let stage = run(stage, |browser, stage| {
        enter(browser, stage);
        browser.click(&format!("[id='c-{BOB}']"));
        browser.wait_for("document.querySelector('#composer')");
        let drop = "(() => { const data = new DataTransfer(); \
            data.items.add(new File(['x'.repeat(300000)], 'holiday <1>.txt')); \
            const say = (kind) => dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true })); \
            say('dragenter'); const shown = !document.querySelector('#drop').hidden; say('drop'); return shown; })()";
        assert_eq!(browser.eval(drop), true);
        browser.wait_for("document.querySelector('.file-name')?.innerText === 'holiday <1>.txt'");
        browser.wait_for("document.querySelectorAll('#uploads li').length === 0");
    })
    .await;
    let path = stage.script().transfers[0].path.clone().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 300_000);
    let over = Transfer {
        state: TransferState::Done,
        ..stage.script().transfers[0].clone()
    };
    stage.tell(Event::Transfer(over));
    wait_until(|| !Path::new(&path).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_looks_right_in_both_themes_and_in_a_narrow_window() {
    if !Browser::is_installed() {
        return;
    }
    let stage = Stage::set(lively()).await;
    run(stage, |browser, stage| {
        enter(browser, stage);
        browser.wait_for("document.querySelector('.at-home')");
        let chat = format!("chat?with={BOB}");
        let request = format!("request?from={CAROL}");
        let pages = [
            "./", &chat, "add", "my-link", &request, "calls", "files", "network", "status",
            "account",
        ];
        for (at, page) in pages.iter().enumerate() {
            browser.eval(&format!(
                "setTimeout(() => {{ location.href = {page:?}; }}); 0"
            ));
            let name = if at == 0 {
                ""
            } else {
                page.split('?').next().unwrap()
            };
            browser.wait_for(&format!(
                "document.readyState === 'complete' && document.body.dataset.page === {name:?}"
            ));
            assert_eq!(browser.unnamed_controls(), Vec::<String>::new(), "{page}");
            assert_eq!(
                browser.eval("document.querySelectorAll('h1').length"),
                1,
                "{page}"
            );
            for (width, height) in [WIDE, (360, 640)] {
                for theme in ["light", "dark"] {
                    browser.look(width, height, theme);
                    let too_wide =
                        browser.eval("document.documentElement.scrollWidth > innerWidth");
                    assert_eq!(too_wide, false, "{page} at {width} px");
                    keep(
                        &format!(
                            "{}-{width}-{theme}",
                            if name.is_empty() { "home" } else { name }
                        ),
                        &browser.picture(),
                    );
                }
            }
            browser.look(WIDE.0, WIDE.1, "light");
        }
        browser.eval(&format!(
            "setTimeout(() => {{ location.href = {chat:?}; }}); 0"
        ));
        browser.wait_for("document.readyState === 'complete' && document.querySelector('#chat')");
        browser.look(1000, 640, "light");
        std::thread::sleep(std::time::Duration::from_millis(200));
        let picture = browser.picture();
        assert!(picture.len() <= 200_000, "{} bytes", picture.len());
        if std::env::var("STARLING_UPDATE_PICTURES").is_ok_and(|update| update == "1") {
            let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/user");
            std::fs::create_dir_all(&docs).unwrap();
            std::fs::write(docs.join("window.png"), picture).unwrap();
        }
    })
    .await;
}

/// A profile with something of everything.
fn lively() -> Script {
    let mut script = alice();
    let minute = 60_000;
    script.status.supernode = Some(SupernodeStatus {
        id: "s1".into(),
        address: "192.0.2.9:27474".into(),
        connected: true,
        words: "connected".into(),
        own: false,
    });
    script.status.network = Some(Network {
        id: Some("net0".into()),
        name: "Our family".into(),
        supernodes: vec!["192.0.2.9:27474".into()],
        owner: true,
    });
    script.status.roles = vec![Role {
        name: "supernode".into(),
        on: false,
        words: "not asked for".into(),
    }];
    script.status.listening = vec!["27474/udp".into(), "27474/tcp".into()];
    script.status.paths = vec![PathView {
        who: "Bob".into(),
        purpose: "call".into(),
        kind: "direct".into(),
        remote: "198.51.100.4:27474".into(),
        rtt_ms: Some(23.4),
    }];
    script.status.traffic = vec![Traffic {
        purpose: "own: calls".into(),
        sent: 3_420_000,
        received: 3_380_000,
    }];
    script.status.warnings =
        vec!["The key of the store lies beside it, because no keyring was found.".into()];
    script.status.online_after_ms = Some(412);
    let bob = &mut script.contacts[0];
    (bob.last_text, bob.last_at) = (Some("See you at eight".into()), Some(NOON + 50 * minute));
    let mut dana = contact("dana0dddd", "דנה", Presence::Offline);
    (dana.unread, dana.last_text, dana.last_at) = (
        3,
        Some("שלחתי לך את הקובץ report.pdf".into()),
        Some(NOON + 20 * minute),
    );
    let mut emil = contact("emil1eeee", "Emil Nørgaard", Presence::Unknown);
    (emil.last_text, emil.last_at) = (Some("Thanks!".into()), Some(NOON - 3 * 24 * 60 * minute));
    let fay = Contact {
        relation: Relation::Requested,
        ..contact("fay00ffff", "Fay", Presence::Unknown)
    };
    script.contacts.extend([dana, emil, fay]);
    script.requests = vec![ContactRequest {
        id: CAROL.into(),
        name: "Carol".into(),
        message: "Hi Alice, it is Carol from the choir.".into(),
        at: NOON,
    }];
    let say = |n: u64, out: bool, text: &str| {
        message(&format!("n{n}"), BOB, "Bob", out, text, NOON + n * minute)
    };
    script.messages = vec![
        say(0, false, "Did the photos from Sunday come out? 🌄"),
        say(2, true, "They did. I am sending them over now."),
        say(4, true, "The one on the bridge is my favourite"),
        say(
            9,
            false,
            "Wonderful, thank you! Shall we call tonight and choose some for the album? I would like to print about twenty of them, and you have the better eye for it.",
        ),
        say(
            50,
            true,
            "Yes, see https://example.org/albums for the sizes",
        ),
        say(51, true, "See you at eight"),
    ];
    script.messages[5].delivery = Delivery::Waiting;
    let file = |id: &str, name: &str, outgoing, state, at| Transfer {
        id: id.into(),
        contact: BOB.into(),
        who: "Bob".into(),
        outgoing,
        name: name.into(),
        size: 48_300_000,
        done: 30_100_000,
        rate: 2_900_000,
        state,
        words: String::new(),
        path: Some("/home/alice/Downloads/program.pdf".into()),
        at: NOON + at * minute,
    };
    script.transfers = vec![
        file("t1", "sunday-photos.zip", true, TransferState::Running, 3),
        file(
            "t2",
            "concert-program.pdf",
            false,
            TransferState::Offered,
            10,
        ),
        file("t3", "program.pdf", false, TransferState::Done, 1),
    ];
    let call = Call {
        id: "k1".into(),
        contact: BOB.into(),
        who: "Bob".into(),
        outgoing: true,
        state: CallState::Established,
        words: "in call".into(),
        started_at: NOON,
        answered_at: Some(
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_millis() as u64
                - 133_000,
        ),
        quality: Some(CallQuality {
            path: "direct".into(),
            rtt_ms: Some(23.4),
            codec: "Opus, 48 kHz".into(),
            ..CallQuality::default()
        }),
        ..Call::default()
    };
    let missed = Call {
        id: "k2".into(),
        outgoing: false,
        state: CallState::Ended,
        words: "no answer".into(),
        started_at: NOON + 40 * minute,
        answered_at: None,
        ..call.clone()
    };
    script.calls = vec![call, missed];
    script.status.account = Some(account("Alice"));
    script
}

/// Runs blocking browser work beside the stage's server, then checks that the page complained about nothing.
async fn run(stage: Stage, work: impl FnOnce(&mut Browser, &Stage) + Send + 'static) -> Stage {
    let handle = Handle::current();
    blocking(move || {
        let _runtime = handle.enter();
        let folder = tempfile::tempdir().unwrap();
        let mut browser = Browser::start(folder.path());
        browser.look(WIDE.0, WIDE.1, "light");
        work(&mut browser, &stage);
        assert_eq!(
            browser.console,
            Vec::<String>::new(),
            "the page's console is silent"
        );
        stage
    })
    .await
}

/// As the window does it: the browser is given the redirect file.
fn enter(browser: &mut Browser, stage: &Stage) {
    let file = stage.window.redirect().unwrap();
    browser.open(&format!("file://{}", file.display()));
    browser.wait_for("location.protocol === 'http:' && document.readyState === 'complete' && document.querySelector('#main')");
    assert!(!file.exists(), "the code was used");
}

/// Pictures to look at go where the caller of the test wants them, if at all.
fn keep(name: &str, picture: &[u8]) {
    if let Some(folder) = std::env::var_os("STARLING_PICTURES") {
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), picture).unwrap();
    }
}

fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..250 {
        if done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("it did not happen within 5 s");
}
