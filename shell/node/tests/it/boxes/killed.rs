//! A holder in a process of its own, which is killed while it is written to.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};

use super::*;

const FOLDER: &str = "STARLING_TEST_HOLDER";
const SAYS: &str = "holder at ";
/// Killed so often, each time while entries are on their way.
const KILLS: u64 = 3;

/// The other process: a whole node, until its standard input ends.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that `box_12_every_receipt_of_a_holder_that_is_killed_stands` kills"]
async fn holder_process() {
    let Ok(home) = std::env::var(FOLDER) else {
        return;
    };
    let mut config = config(Path::new(&home));
    config.supernode = true;
    let sven = Actor::start_with(config).await;
    if sven
        .ask::<Option<view::Account>>(Command::AccountShow {})
        .await
        .is_none()
    {
        let name = "Sven".to_owned();
        sven.ask::<view::Account>(Command::AccountCreate { name })
            .await;
    }
    sven.until_registered().await;
    let link: view::OwnLink = sven.ask(Command::ContactLink {}).await;
    println!("{SAYS}{}", link.link);
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    let _ = ended.await;
    sven.node.stop().await;
}

/// Starts it, and waits until it says where it is.
fn start(home: &Path) -> (Child, SupernodeAddr) {
    let mut child = Program::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "boxes::killed::holder_process"])
        .args(["--ignored", "--nocapture"])
        .env(FOLDER, home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = out.lines().map_while(Result::ok);
    let found = lines.find_map(|line| line.split_once(SAYS).map(|(_, link)| link.to_owned()));
    // What it says besides is read, too: a full pipe would hold it up.
    std::thread::spawn(move || lines.for_each(drop));
    let link: starling_wire::link::Link = found.expect("a line").parse().expect("a link");
    (child, link.supernodes[0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn box_12_every_receipt_of_a_holder_that_is_killed_stands() {
    crate::cast::listen_for_warnings();
    let home = folder();
    let (mut child, at) = start(home.path());
    let alice = Member::new("Alice", &at).await;
    let homes = [at.clone()];
    let secret = generation(20, &homes);
    let talk = alice.talk(&secret, &homes);
    talk.log.online(true).await.expect("it goes on");
    let mut number = 0;
    for kill in 1..=KILLS {
        let before = talk.shelf.receipts().len();
        // More than the box's rate lets in at once: it is killed in the middle.
        for _ in 0..150 {
            talk.say(number).await;
            number += 1;
        }
        talk.until_kept("some receipts", |shelf| {
            shelf.receipts().len() >= before + 20 * usize::try_from(kill).unwrap_or(1)
        })
        .await;
        child.kill().expect("it is killed");
        child.wait().expect("it is dead");
        let (again, same) = start(home.path());
        assert_eq!(same, at, "where it was");
        child = again;
        talk.log.online(true).await.expect("it goes on");
    }
    talk.until_kept("every receipt", |shelf| {
        shelf.receipts().len() as u64 == number
    })
    .await;
    let receipts = talk.shelf.receipts();
    drop(talk);
    let bob = Member::new("Bob", &at).await;
    let bobs = bob.talk(&secret, &homes);
    bobs.log.collect().await.expect("it goes on");
    bobs.until_kept("all", |shelf| shelf.entries().len() >= receipts.len())
        .await;
    let there: BTreeSet<EntryId> = bobs.shelf.entries().into_iter().collect();
    let lost = receipts.iter().filter(|(_, entry)| !there.contains(entry));
    assert_eq!(lost.count(), 0, "a receipt that does not stand");
    println!("{} receipts over {KILLS} kills", receipts.len());
    drop(child.stdin.take());
    child.wait().expect("it ends");
}
