//! What transfers leave behind: after a kill at the worst moment, after a sending that broke off, after a contact is removed.

use starling_store::{Store, contacts, transfers};
use starling_wire::ids::{AccountId, TransferId};

use super::*;

/// Alice and Bob, at home at a third machine, so that both may be away.
async fn pair_at_carols() -> (tempfile::TempDir, Actor, Pair) {
    let c = tempfile::tempdir().expect("a folder");
    let carol = Actor::create(c.path(), "Carol").await;
    let made: view::NetworkMade = carol
        .ask(Command::NetworkInit {
            name: "the three".into(),
            advertise: Some("127.0.0.1".into()),
        })
        .await;
    let pair = pair_in(Some(made.file)).await;
    (c, carol, pair)
}

/// The only contact and its transfer of that name, in a profile whose node is stopped.
fn stored(store: &mut Store, name: &str) -> (AccountId, TransferId) {
    let all = store.read(|tx| transfers::list(tx, 100)).expect("rows");
    let found = all.into_iter().find(|transfer| transfer.name == name);
    let found = found.expect("it is stored");
    (found.contact, found.id)
}

/// As a node leaves it that is killed between the move of a complete file and its last commit: the name is noted, the
/// unfinished file is gone, and `content` lies under that name.
fn killed_after_the_move(home: &Path, name: &str, content: &[u8]) {
    let mut store = Store::open(home).expect("the store opens");
    let (contact, id) = stored(&mut store, name);
    let path = home.join("Downloads").join(name);
    std::fs::write(&path, content).expect("a file");
    let part = home.join("Downloads").join(format!(".starling-{id}.part"));
    std::fs::remove_file(part).expect("it was begun");
    let noted = store.write(|tx| transfers::name(tx, contact, id, &path));
    assert_eq!(noted, Ok(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_11_what_has_its_name_when_the_node_is_killed_is_not_fetched_again() {
    let (_c, carol, mut pair) = pair_at_carols().await;
    let content: Vec<u8> = (0..3 << 20).map(|n: u32| (n % 251) as u8).collect();
    let whole = pair.offer("whole.bin", &content).await.id;
    let foreign = pair.offer("foreign.bin", b"what was offered").await.id;
    pair.alice.node.stop().await;
    for id in [&whole, &foreign] {
        pair.bob.ask::<Transfer>(accept(id)).await;
    }
    pair.bob.node.stop().await;
    killed_after_the_move(pair.b.path(), "whole.bin", &content);
    // As long as what was offered, but somebody else's.
    killed_after_the_move(pair.b.path(), "foreign.bin", b"what lies there.");
    pair.bob = Actor::start(pair.b.path()).await;
    pair.alice = Actor::start(pair.a.path()).await;
    let (_, done) = pair.both_reach(&whole, Done).await;
    let downloads = pair.b.path().join("Downloads");
    let path = |name: &str| Some(downloads.join(name).display().to_string());
    assert_eq!(done.path, path("whole.bin"));
    let (_, done) = pair.both_reach(&foreign, Done).await;
    assert_eq!(done.path, path("foreign (2).bin"));
    let kept = std::fs::read(downloads.join("foreign.bin"));
    assert_eq!(kept.expect("a file"), b"what lies there.");
    let (_, received) = traffic(&pair.bob).await;
    assert!(received < 100_000, "{received} bytes came again");
    let names = std::fs::read_dir(&downloads).expect("a folder");
    assert_eq!(names.count(), 3, "nothing is there twice");
    carol.node.stop().await;
    pair.stop().await;
}

fn indexes(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.join("transfers"));
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_nobody_needs_does_not_stay() {
    let mut pair = pair().await;
    // A file that is shorter than it says: as if it were changed while it is read.
    let shrinks = Path::new("/sys/devices/system/cpu/online");
    let refused = pair.alice.try_ask::<Transfer>(send(shrinks)).await;
    let failure = refused.expect_err("it cannot be read to its end");
    assert!(failure.message.contains("changed"), "{failure:?}");
    assert_eq!(indexes(pair.a.path()), Vec::<PathBuf>::new());
    let id = pair.offer("wanted.txt", b"content").await.id;
    let wanted = indexes(pair.a.path());
    assert_eq!(wanted.len(), 1);
    pair.alice.node.stop().await;
    // A node that was killed while it read a large file.
    let stray = pair.a.path().join("transfers/00ff.outboard");
    std::fs::write(&stray, [0; 1_000]).expect("a file");
    pair.alice = Actor::start(pair.a.path()).await;
    let deadline = Instant::now() + PATIENCE;
    while stray.exists() {
        assert!(Instant::now() < deadline, "it stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(indexes(pair.a.path()), wanted);
    pair.bob.ask::<Transfer>(accept(&id)).await;
    pair.both_reach(&id, Done).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_contacts_transfers_end_once() {
    let mut pair = pair().await;
    let withdrawn = pair.offer("withdrawn.txt", b"no").await.id;
    pair.alice.ask::<Transfer>(cancel(&withdrawn)).await;
    reaches(&mut pair.bob, &withdrawn, Cancelled).await;
    let open = pair.offer("open.txt", b"yes").await.id;
    let Pair {
        a: _a,
        b,
        alice,
        mut bob,
    } = pair;
    let downloads = b.path().join("Downloads");
    alice.node.stop().await;
    bob.ask::<Transfer>(accept(&open)).await;
    assert_eq!(parts(&downloads).len(), 1);
    bob.events = bob.control.events();
    let who = "Alice".to_owned();
    bob.ask::<()>(Command::ContactRemove { who }).await;
    let ended = bob
        .until("the end of a transfer", |event| match event {
            Event::Transfer(transfer) => Some(transfer.clone()),
            _ => None,
        })
        .await;
    assert_eq!((ended.id.as_str(), ended.state), (open.as_str(), Cancelled));
    assert_eq!(ended.words, "the contact was removed");
    until_no_parts(&downloads).await;
    let list: Vec<Transfer> = bob.ask(Command::FileList {}).await;
    let words: Vec<&str> = list.iter().map(|one| one.words.as_str()).collect();
    assert_eq!(words, ["the contact was removed", "cancelled by Alice"]);
    bob.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_did_not_clear_up_is_cleared_up_at_the_next_start() {
    let mut pair = pair().await;
    let open = pair.offer("open.txt", b"yes").await.id;
    let Pair {
        a: _a,
        b,
        alice,
        mut bob,
    } = pair;
    let downloads = b.path().join("Downloads");
    alice.node.stop().await;
    bob.ask::<Transfer>(accept(&open)).await;
    bob.node.stop().await;
    // The removal is committed, and nothing after it happened.
    let mut store = Store::open(b.path()).expect("the store opens");
    let (contact, _) = stored(&mut store, "open.txt");
    store
        .write(|tx| contacts::remove(tx, contact))
        .expect("it is there");
    drop(store);
    assert_eq!(parts(&downloads).len(), 1);
    bob = Actor::start(b.path()).await;
    until_no_parts(&downloads).await;
    let list: Vec<Transfer> = bob.ask(Command::FileList {}).await;
    assert_eq!(list[0].words, "the contact was removed");
    bob.node.stop().await;
}
