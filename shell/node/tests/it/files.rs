//! Files between whole nodes on loopback: restarts and kills in the middle, cancelling, sources that change, folders that
//! refuse, disks that are full.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use starling_control::view::TransferState::{Cancelled, Done, Failed, Offered, Running};
use starling_control::view::{Transfer, TransferState};
use starling_control::{Command, ErrorKind, Event, Failure, view};

use crate::cast::{Actor, PATIENCE, befriend};

mod aftermath;

/// Large enough to be caught in the middle.
const LARGE: u64 = 200 << 20;
/// What four streams fetch at a moment, a segment each: of that nothing is kept.
const UNFINISHED: u64 = 4 << 20;
/// What is fetched twice after a break: a segment for each stream, and what came after the last note.
const AGAIN: u64 = 8 << 20;

struct Pair {
    a: tempfile::TempDir,
    b: tempfile::TempDir,
    alice: Actor,
    bob: Actor,
}

async fn pair() -> Pair {
    pair_in(None).await
}

async fn pair_in(network: Option<String>) -> Pair {
    let folder = || tempfile::tempdir().expect("a folder");
    let (a, b) = (folder(), folder());
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut bob = Actor::create(b.path(), "Bob").await;
    if let Some(source) = network {
        for actor in [&alice, &bob] {
            let source = source.clone();
            actor
                .ask::<view::Network>(Command::NetworkJoin { source })
                .await;
        }
    }
    befriend(&mut alice, &mut bob).await;
    Pair { a, b, alice, bob }
}

impl Pair {
    async fn stop(self) {
        self.alice.node.stop().await;
        self.bob.node.stop().await;
    }

    /// Alice offers a file with this content; the ids are the same on both sides.
    async fn offer(&mut self, name: &str, content: &[u8]) -> Transfer {
        let path = self.a.path().join(name);
        std::fs::write(&path, content).expect("a file");
        self.offer_path(&path).await
    }

    /// A file of zeros that takes a while.
    async fn offer_large(&mut self) -> Transfer {
        let path = self.a.path().join("large.bin");
        let file = std::fs::File::create(&path).expect("a file");
        file.set_len(LARGE).expect("room");
        self.offer_path(&path).await
    }

    async fn offer_path(&mut self, path: &Path) -> Transfer {
        let sent: Transfer = self.alice.ask(send(path)).await;
        assert!(sent.outgoing);
        reaches(&mut self.bob, &sent.id, Offered).await
    }

    /// Both are at the end, for the same file.
    async fn both_reach(&mut self, id: &str, state: TransferState) -> (Transfer, Transfer) {
        let alices = reaches(&mut self.alice, id, state).await;
        (alices, reaches(&mut self.bob, id, state).await)
    }

    async fn until_no_parts(&self) {
        until_no_parts(&self.b.path().join("Downloads")).await;
    }
}

/// What will not go on is tidied away after it is shown as over.
async fn until_no_parts(folder: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !parts(folder).is_empty() {
        assert!(Instant::now() < deadline, "unfinished files stay");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn send(path: &Path) -> Command {
    Command::FileSend {
        who: "Bob".into(),
        path: path.display().to_string(),
    }
}

fn accept(id: &str) -> Command {
    Command::FileAccept {
        id: id.into(),
        to: None,
    }
}

fn accept_to(id: &str, folder: &Path) -> Command {
    Command::FileAccept {
        id: id.into(),
        to: Some(folder.display().to_string()),
    }
}

fn cancel(id: &str) -> Command {
    Command::FileCancel { id: id.into() }
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let part = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "part");
    entries.map(|entry| entry.path()).filter(part).collect()
}

/// Until a transfer is in a state, or has gone beyond it to a bad end.
async fn reaches(actor: &mut Actor, id: &str, state: TransferState) -> Transfer {
    let over = |transfer: &Transfer| {
        let bad = matches!(transfer.state, Cancelled | Failed) && transfer.state != state;
        assert!(!bad, "{}: {}", transfer.name, transfer.words);
        (transfer.id == id && transfer.state == state).then(|| transfer.clone())
    };
    let listed: Vec<Transfer> = actor.ask(Command::FileList {}).await;
    let listed = listed.iter().filter(|transfer| transfer.id == id);
    if let Some(found) = listed.filter_map(over).next() {
        return found;
    }
    let what = format!("{id} {state:?}");
    let mut done = 0;
    loop {
        let news = actor.until(&what, |event| match event {
            Event::Transfer(transfer) if transfer.id == id => {
                let moved = || (transfer.done > done).then_some(Err(transfer.done));
                over(transfer).map(Ok).or_else(moved)
            }
            _ => None,
        });
        match news.await {
            Ok(found) => return found,
            // However slow the machine is: what moves is waited for.
            Err(more) => done = more,
        }
    }
}

/// Until bytes have been moving for a moment, and some of them would be kept.
async fn moves(actor: &mut Actor, id: &str) -> Transfer {
    let wait = actor.until("bytes that move", |event| match event {
        Event::Transfer(transfer) if transfer.id == id => {
            assert_ne!(transfer.state, Done, "too fast to be caught");
            (transfer.state == Running && transfer.done > UNFINISHED).then(|| transfer.clone())
        }
        _ => None,
    });
    wait.await
}

async fn traffic(actor: &Actor) -> (u64, u64) {
    let status: view::Status = actor.ask(Command::Status {}).await;
    let files = status.traffic.iter().find(|t| t.purpose == "own: files");
    files
        .map(|t| (t.sent, t.received))
        .expect("files are metered")
}

fn same(path: &Option<String>, size: u64) -> bool {
    let path = path.as_ref().expect("a path");
    let bytes = std::fs::read(path).expect("a file");
    bytes.len() as u64 == size && bytes.iter().all(|byte| *byte == 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_at_once_with_honest_progress() {
    let mut pair = pair().await;
    let first = pair.offer_large().await;
    let second = pair.offer("second.bin", &vec![7; 50 << 20]).await;
    let started = Instant::now();
    for id in [&first.id, &second.id] {
        pair.bob.ask::<Transfer>(accept(id)).await;
    }
    let (mut left, mut shown, mut done) = (2, 0_u32, 0);
    while left > 0 {
        let event = tokio::time::timeout(PATIENCE, pair.bob.events.recv()).await;
        let Event::Transfer(transfer) = event.expect("in time").expect("no gap") else {
            continue;
        };
        left -= u32::from(transfer.state == Done);
        if transfer.id == first.id && transfer.state == Running {
            assert!(transfer.done >= done, "{} after {done}", transfer.done);
            done = transfer.done;
            shown += 1;
        }
    }
    let most = 2 + started.elapsed().as_millis() as u32 / 250;
    assert!(
        shown >= 1 && shown <= most,
        "{shown} in {:?}",
        started.elapsed()
    );
    pair.both_reach(&first.id, Done).await;
    let (alices, bobs) = pair.both_reach(&second.id, Done).await;
    assert_eq!(alices.words, "received and verified by Bob");
    assert_eq!((bobs.done, bobs.size), (50 << 20, 50 << 20));
    let size = LARGE + (50 << 20);
    let (sent, received) = (traffic(&pair.alice).await.0, traffic(&pair.bob).await.1);
    for bytes in [sent, received] {
        assert!(
            bytes > size && bytes < size + size / 50,
            "{bytes} for {size}"
        );
    }
    let status: view::Status = pair.bob.ask(Command::Status {}).await;
    assert!(status.paths.iter().any(|path| path.purpose == "files"));
    pair.until_no_parts().await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_restarts_goes_on_where_it_was() {
    let mut pair = pair().await;
    let id = pair.offer_large().await.id;
    pair.bob.ask::<Transfer>(accept(&id)).await;
    moves(&mut pair.bob, &id).await;
    pair.bob.node.stop().await;
    pair.bob = Actor::start(pair.b.path()).await;
    let before = noted(&pair.bob, &id).await;
    let done = reaches(&mut pair.bob, &id, Done).await;
    assert!(same(&done.path, LARGE));
    let (_, received) = traffic(&pair.bob).await;
    let missing = LARGE - before;
    assert!(
        received < missing + missing / 50 + AGAIN,
        "{received} for {missing}"
    );
    reaches(&mut pair.alice, &id, Done).await;
    pair.stop().await;
}

/// What was on disk when the node came back.
async fn noted(actor: &Actor, id: &str) -> u64 {
    let list: Vec<Transfer> = actor.ask(Command::FileList {}).await;
    let before = list.iter().find(|transfer| transfer.id == id);
    let before = before.expect("it is known").done;
    assert!(before > 0, "something was kept");
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_restarts_goes_on_where_it_was() {
    let mut pair = pair().await;
    let id = pair.offer_large().await.id;
    pair.bob.ask::<Transfer>(accept(&id)).await;
    let moved = moves(&mut pair.bob, &id).await.done;
    pair.alice.node.stop().await;
    let waits = reaches(&mut pair.bob, &id, TransferState::Waiting).await;
    assert!(waits.done >= moved, "what was shown stays");
    pair.alice = Actor::start(pair.a.path()).await;
    let done = reaches(&mut pair.bob, &id, Done).await;
    assert!(same(&done.path, LARGE));
    reaches(&mut pair.alice, &id, Done).await;
    let (_, received) = traffic(&pair.bob).await;
    assert!(received < LARGE + LARGE / 50 + AGAIN, "{received}");
    let (sent, _) = traffic(&pair.alice).await;
    let most = LARGE - moved + LARGE / 50 + AGAIN;
    assert!(sent < most, "{sent} of {most}");
    pair.stop().await;
}

/// A runtime that ends with everything in it where it stands: no goodbye, no note.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_killed_goes_on_where_it_last_noted() {
    let folder = || tempfile::tempdir().expect("a folder");
    let (a, b) = (folder(), folder());
    let mut alice = Actor::create(a.path(), "Alice").await;
    let doomed = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let home = b.path().to_owned();
    let start = doomed.spawn(async move { Actor::create(&home, "Bob").await });
    let mut bob = start.await.expect("Bob starts");
    befriend(&mut alice, &mut bob).await;
    let path = a.path().join("large.bin");
    let file = std::fs::File::create(&path).expect("a file");
    file.set_len(LARGE).expect("room");
    let id = alice.ask::<Transfer>(send(&path)).await.id;
    reaches(&mut bob, &id, Offered).await;
    bob.ask::<Transfer>(accept(&id)).await;
    moves(&mut bob, &id).await;
    doomed.shutdown_background();
    drop(bob);
    let mut bob = restarted(b.path()).await;
    let list: Vec<Transfer> = bob.ask(Command::FileList {}).await;
    let before = list[0].done;
    assert_eq!(parts(&b.path().join("Downloads")).len(), 1);
    let done = reaches(&mut bob, &id, Done).await;
    assert!(same(&done.path, LARGE));
    let (_, received) = traffic(&bob).await;
    let missing = LARGE - before;
    assert!(
        received < missing + missing / 50 + AGAIN,
        "{received} for {missing}"
    );
    reaches(&mut alice, &id, Done).await;
    alice.node.stop().await;
    bob.node.stop().await;
}

/// The killed runtime's threads may need a moment to let go of the profile.
async fn restarted(home: &Path) -> Actor {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let home = home.to_owned();
        let start = tokio::spawn(async move { Actor::start(&home).await });
        match start.await {
            Ok(actor) => return actor,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_ends_an_offer() {
    let mut pair = pair().await;
    let id = pair.offer("declined.txt", b"no").await.id;
    let bobs: Transfer = pair.bob.ask(cancel(&id)).await;
    assert_eq!(
        (bobs.state, bobs.words.as_str()),
        (Cancelled, "declined by you")
    );
    let alices = reaches(&mut pair.alice, &id, Cancelled).await;
    assert_eq!(alices.words, "declined by Bob");
    let id = pair.offer("withdrawn.txt", b"no").await.id;
    let alices: Transfer = pair.alice.ask(cancel(&id)).await;
    assert_eq!(alices.words, "cancelled by you");
    let bobs = reaches(&mut pair.bob, &id, Cancelled).await;
    assert_eq!(bobs.words, "cancelled by Alice");
    for command in [accept(&id), cancel(&id)] {
        let refused = pair.bob.try_ask::<Transfer>(command).await;
        assert_eq!(refused.expect_err("it is over").data.kind, ErrorKind::State);
    }
    let index = std::fs::read_dir(pair.a.path().join("transfers")).expect("a folder");
    assert_eq!(index.count(), 0, "no index of a file is left");
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_ends_a_running_transfer() {
    let mut pair = pair().await;
    for by_sender in [true, false] {
        let id = pair.offer_large().await.id;
        pair.bob.ask::<Transfer>(accept(&id)).await;
        moves(&mut pair.bob, &id).await;
        let (canceller, words) = if by_sender {
            (&pair.alice, ["cancelled by you", "cancelled by Alice"])
        } else {
            (&pair.bob, ["cancelled by Bob", "cancelled by you"])
        };
        canceller.ask::<Transfer>(cancel(&id)).await;
        let (alices, bobs) = pair.both_reach(&id, Cancelled).await;
        assert_eq!([alices.words.as_str(), bobs.words.as_str()], words);
        pair.until_no_parts().await;
    }
    // Nothing is wrong with the connection: the next file goes over it.
    let id = pair.offer("after.txt", b"after all").await.id;
    pair.bob.ask::<Transfer>(accept(&id)).await;
    pair.both_reach(&id, Done).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_while_the_other_was_away_is_heard_when_they_return() {
    // Both restart, so where they meet is a third machine.
    let c = tempfile::tempdir().expect("a folder");
    let carol = Actor::create(c.path(), "Carol").await;
    let made: view::NetworkMade = carol
        .ask(Command::NetworkInit {
            name: "the three".into(),
            advertise: Some("127.0.0.1".into()),
        })
        .await;
    let mut pair = pair_in(Some(made.file)).await;
    let withdrawn = pair.offer("withdrawn.txt", b"no").await.id;
    let wanted = pair.offer("wanted.txt", b"yes").await.id;
    pair.bob.node.stop().await;
    pair.alice.ask::<Transfer>(cancel(&withdrawn)).await;
    let path = pair.a.path().join("new.txt");
    std::fs::write(&path, b"new").expect("a file");
    let new = pair.alice.ask::<Transfer>(send(&path)).await;
    assert_eq!(new.state, Offered);
    // Alice forgets what she wanted to say; Bob asks.
    pair.alice.node.stop().await;
    pair.bob = Actor::start(pair.b.path()).await;
    let waits: Transfer = pair.bob.ask(accept(&wanted)).await;
    assert_eq!(waits.state, TransferState::Waiting);
    pair.alice = Actor::start(pair.a.path()).await;
    pair.both_reach(&wanted, Done).await;
    let bobs = reaches(&mut pair.bob, &withdrawn, Cancelled).await;
    assert_eq!(bobs.words, "cancelled by Alice");
    reaches(&mut pair.bob, &new.id, Offered).await;
    pair.bob.ask::<Transfer>(accept(&new.id)).await;
    pair.both_reach(&new.id, Done).await;
    pair.stop().await;
    carol.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changed_or_vanished_is_said_on_both_sides() {
    let mut pair = pair().await;
    let changed = pair.offer("changed.txt", b"first").await.id;
    std::fs::write(pair.a.path().join("changed.txt"), b"other").expect("a file");
    let vanished = pair.offer("vanished.txt", b"first").await.id;
    std::fs::remove_file(pair.a.path().join("vanished.txt")).expect("a file");
    let theirs = "Alice changed or removed the file after offering it; ask Alice to send it again";
    let ours = [
        (
            changed,
            "the file was changed after it was offered; send it again",
        ),
        (
            vanished,
            "the file is not there any more; put it back and send it again",
        ),
    ];
    for (id, words) in ours {
        pair.bob.ask::<Transfer>(accept(&id)).await;
        let (alices, bobs) = pair.both_reach(&id, Failed).await;
        assert_eq!(
            (alices.words.as_str(), bobs.words.as_str()),
            (words, theirs)
        );
    }
    pair.until_no_parts().await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_made_harmless_nothing_is_replaced_and_nothing_runs() {
    let mut pair = pair().await;
    let downloads = pair.b.path().join("Downloads");
    std::fs::create_dir(&downloads).expect("a folder");
    std::fs::write(downloads.join("tool.sh"), "mine").expect("a file");
    let cases = [
        ("tool.sh", "tool (2).sh"),
        ("CON", "_CON"),
        (".desktop", "desktop"),
        ("back\\slash", "slash"),
        ("gpj\u{202e}exe.txt", "gpjexe.txt"),
    ];
    for (name, expected) in cases {
        let path = pair.a.path().join(name);
        std::fs::write(&path, "#!/bin/sh\n").expect("a file");
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, all).expect("ours");
        let id = pair.offer_path(&path).await.id;
        pair.bob.ask::<Transfer>(accept(&id)).await;
        let done = reaches(&mut pair.bob, &id, Done).await;
        let path = PathBuf::from(done.path.expect("a path"));
        assert_eq!(path, downloads.join(expected));
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o7777, 0o644, "{name}");
    }
    let mine = std::fs::read_to_string(downloads.join("tool.sh"));
    assert_eq!(mine.expect("a file"), "mine");
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_is_said_before_yes_is() {
    let mut pair = pair().await;
    let id = pair.offer("a.txt", b"content").await.id;
    let file = pair.b.path().join("file");
    std::fs::write(&file, "").expect("a file");
    for folder in [
        Path::new("/proc/starling"),
        Path::new("/proc"),
        &file,
        Path::new("relative"),
    ] {
        let refused: Result<Transfer, Failure> = pair.bob.try_ask(accept_to(&id, folder)).await;
        let failure = refused.expect_err("it cannot be written");
        assert!(!failure.message.is_empty(), "{folder:?}");
    }
    let still = reaches(&mut pair.bob, &id, Offered).await;
    assert_eq!(still.words, "waits for your answer");
    // A link to a folder is the person's own choice.
    let (real, link) = (pair.b.path().join("real"), pair.b.path().join("link"));
    std::fs::create_dir(&real).expect("a folder");
    symlink(&real, &link).expect("a link");
    pair.bob.ask::<Transfer>(accept_to(&id, &link)).await;
    pair.both_reach(&id, Done).await;
    assert_eq!(
        std::fs::read(real.join("a.txt")).expect("a file"),
        b"content"
    );
    pair.stop().await;
}

const SMALL: &str = "STARLING_TEST_SMALL_DISK";

/// Not a test of its own: what [`a_full_disk_ends_a_transfer_with_a_sentence`] runs where the folder is a small disk.
#[tokio::test(flavor = "multi_thread")]
async fn receiver_on_a_small_disk() {
    let Some(disk) = std::env::var_os(SMALL).map(PathBuf::from) else {
        return;
    };
    let mut pair = pair().await;
    // Too large from the start: said before yes is.
    let large = pair.offer_large().await.id;
    let refused: Result<Transfer, Failure> = pair.bob.try_ask(accept_to(&large, &disk)).await;
    let failure = refused.expect_err("no room");
    assert!(failure.message.contains("free some space"), "{failure:?}");
    // It fitted, but then somebody else filled the disk.
    let id = pair.offer("fits.bin", &vec![1; 6 << 20]).await.id;
    pair.alice.node.stop().await;
    pair.bob.ask::<Transfer>(accept_to(&id, &disk)).await;
    std::fs::write(disk.join("filler"), vec![2; 9 << 20]).expect("room for the filler");
    pair.alice = Actor::start(pair.a.path()).await;
    let bobs = reaches(&mut pair.bob, &id, Failed).await;
    assert!(bobs.words.contains("space"), "{}", bobs.words);
    let alices = reaches(&mut pair.alice, &id, Failed).await;
    assert_eq!(alices.words, "Bob could not receive it");
    assert_eq!(parts(&disk), Vec::<PathBuf>::new());
    pair.stop().await;
    println!("the small disk was said to be small");
}

#[test]
fn a_full_disk_ends_a_transfer_with_a_sentence() {
    let dir = tempfile::tempdir().expect("a folder");
    let script = "mount -t tmpfs -o size=12m,mode=700 starling \"$1\" && shift && exec \"$@\"";
    let made = Process::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(dir.path())
        .arg(std::env::current_exe().expect("a path"))
        .args(["files::receiver_on_a_small_disk", "--exact", "--nocapture"])
        .env(SMALL, dir.path())
        .output();
    let output = made.expect("unshare is there");
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    if !said.contains("running 1 test") {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "{why}");
        println!("SKIPPED: no namespace may be made here: {why}");
        return;
    }
    assert!(said.contains("was said to be small"), "{said}{why}");
}
