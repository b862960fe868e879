//! The window in a real browser: the way in, first run, a contact, a message, a file, a call, both themes, a narrow window.
//!
//! The README's picture, `docs/window.png`, is made here:
//! `STARLING_UPDATE_PICTURES=1 cargo test -p starling --test it it_looks_right`. All pictures go to the folder in
//! `STARLING_PICTURES`, if that is set.

use std::path::{Path, PathBuf};

use starling_control::view::*;
use starling_control::{Command, Event};
use tokio::runtime::Handle;

use crate::window_cdp::Browser;
use crate::window_http::blocking;
use crate::window_lively::lively;
use crate::window_peer::{BOB, CAROL, LINK, NOON, Script, Stage, alice, message};

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
        // The event may be here before the answer to the form is.
        browser.wait_for("document.querySelector('#text').value === ''");
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

        hear_from_bob(browser, stage);
        talk_to_carol(browser, stage);

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
        for page in pages {
            look_at(browser, page);
        }
        go(browser, &chat);
        browser.look(1000, 640, "light");
        browser.eval("(() => { const log = document.querySelector('#log-scroll'); log.scrollTop = log.scrollHeight; })()");
        std::thread::sleep(std::time::Duration::from_millis(200));
        let picture = browser.picture();
        assert!(picture.len() <= 200_000, "{} bytes", picture.len());
        if std::env::var("STARLING_UPDATE_PICTURES").is_ok_and(|update| update == "1") {
            let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/window.png");
            std::fs::write(docs, picture).unwrap();
        }
    })
    .await;
}

/// A message arrives, is announced and counts as read.
fn hear_from_bob(browser: &mut Browser, stage: &Stage) {
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
    browser.wait_for("document.querySelector('.bubble.in .text')?.innerText === 'Are you there?'");
    browser.wait_for("document.querySelector('#announce').innerText === 'Are you there?'");
    wait_until(|| stage.asked(&Command::ChatRead { who: BOB.into() }));
}

/// A call rings, is answered, muted by the keyboard and ended; the timer moves without new buttons.
fn talk_to_carol(browser: &mut Browser, stage: &Stage) {
    let ringing = Call {
        id: "k1".into(),
        contact: CAROL.into(),
        who: "Carol".into(),
        state: CallState::Ringing,
        ..Call::default()
    };
    stage.tell(Event::Call(ringing.clone()));
    browser
        .wait_for("document.querySelector('#ringing')?.innerText.includes('Carol is calling you')");
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
}

/// One page, wide and narrow, light and dark: every control has a name, nothing sticks out.
fn look_at(browser: &mut Browser, page: &str) {
    let name = go(browser, page);
    assert_eq!(browser.unnamed_controls(), Vec::<String>::new(), "{page}");
    let headings = browser.eval("document.querySelectorAll('h1').length");
    assert_eq!(headings, 1, "{page}");
    for (width, height) in [WIDE, (360, 640)] {
        for theme in ["light", "dark"] {
            browser.look(width, height, theme);
            let too_wide = browser.eval("document.documentElement.scrollWidth > innerWidth");
            assert_eq!(too_wide, false, "{page} at {width} px");
            keep(&format!("page-{name}-{width}-{theme}"), &browser.picture());
        }
    }
    browser.look(WIDE.0, WIDE.1, "light");
}

/// Goes to another page as a link would; answers with its name.
fn go<'a>(browser: &mut Browser, page: &'a str) -> &'a str {
    let name = page.split('?').next().unwrap().trim_matches(['.', '/']);
    browser.eval(&format!(
        "window.leaving = true; setTimeout(() => {{ location.href = {page:?}; }}); 0"
    ));
    // The page that is left may have the same name.
    browser.wait_for(&format!(
        "!window.leaving && document.readyState === 'complete' && document.body.dataset.page === {name:?} && location.href.endsWith({:?})",
        page.trim_start_matches('.')
    ));
    name
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
    let file = std::path::PathBuf::from(stage.window.door().unwrap().file);
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
