//! A registrar among supernodes that say nothing, or what they cannot prove, or want to be brought pages for ever; and one
//! whose database fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use iroh::endpoint::{RecvStream, SendStream};
use starling_control::command::NameWish;
use starling_control::{Command, Event, view};
use starling_node::clock::wall_s;
use starling_node::transport::front_door::{Arrival, FrontDoor, Visitor};
use starling_node::transport::pins::Pins;
use starling_node::transport::proxy::ProxySetting;
use starling_store::name_log::{self, Whose};
use starling_store::{Store, host_cache};
use starling_wire::frame::{decode_body, encode};
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::name_log::{Page, Position, Statement};
use starling_wire::name_query::{NameHead, NameQuestion, NameReply};
use starling_wire::record::registrar::Registrar as Appointment;
use starling_wire::supernode::{Answer, Refusal, Request, SupernodeAddr};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{claim, copy, end, settle, settle_owner, start, town, verify};
use crate::cast::{Actor, folder};
use crate::overlay::{Land, Person};

type Says = Arc<dyn Fn(&NameQuestion) -> Option<NameReply> + Send + Sync>;

/// Looks like a supernode to whoever asks it about names.
struct Impostor {
    at: SupernodeAddr,
    /// "How far does your copy go?", and pages that it was brought.
    heads: Arc<AtomicUsize>,
    pages: Arc<AtomicUsize>,
    _door: Arc<FrontDoor>,
    _serves: JoinHandle<()>,
}

impl Impostor {
    async fn settle(land: &Land, seed: [u8; 32], says: Says) -> Self {
        let (sender, mut arrivals) = mpsc::channel::<Arrival>(8);
        let keeper = Arc::new(|_| Some(Visitor::Supernode));
        let (pins, proxy) = (Pins::default(), ProxySetting::None);
        let door = FrontDoor::open(&seed, pins, proxy, None, keeper, sender)
            .await
            .expect("a door");
        let relay = land.towns[0].at();
        door.set_home(relay).await;
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let at = SupernodeAddr {
            id: EndpointKey(key.verifying_key().to_bytes()),
            ..relay.clone()
        };
        let (heads, pages) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (Arc::clone(&heads), Arc::clone(&pages));
        let serves = tokio::spawn(async move {
            while let Some(arrival) = arrivals.recv().await {
                let (says, counts) = (Arc::clone(&says), counts.clone());
                tokio::spawn(async move {
                    while let Ok((send, receive)) = arrival.connection.accept_bi().await {
                        tokio::spawn(answer(send, receive, Arc::clone(&says), counts.clone()));
                    }
                });
            }
        });
        Self {
            at,
            heads,
            pages,
            _door: Arc::new(door),
            _serves: serves,
        }
    }
}

async fn answer(
    mut send: SendStream,
    mut receive: RecvStream,
    says: Says,
    (heads, pages): (Arc<AtomicUsize>, Arc<AtomicUsize>),
) {
    let bytes = receive.read_to_end(1 << 17).await.unwrap_or_default();
    let Some(body) = bytes.get(4..) else { return };
    let Ok(Request::Names(question)) = decode_body::<Request>(body, 1 << 17) else {
        let _ = send
            .write_all(&encode(&Answer::Refused(Refusal::Full)))
            .await;
        return;
    };
    match &question {
        NameQuestion::Head => heads.fetch_add(1, Ordering::SeqCst),
        NameQuestion::Entries(_) => pages.fetch_add(1, Ordering::SeqCst),
        _ => 0,
    };
    let Some(reply) = says(&question) else {
        // Silent: the stream stays open.
        tokio::time::sleep(Duration::from_secs(60)).await;
        return;
    };
    let _ = send.write_all(&encode(&Answer::Names(reply))).await;
    let _ = send.finish();
}

/// The owner's machine knows of these, too: another supernode told it.
fn told_of(land: &Land, home: &std::path::Path, impostors: &[&Impostor]) {
    let mut store = Store::open(home).expect("a store");
    let list: Vec<SupernodeAddr> = impostors.iter().map(|one| one.at.clone()).collect();
    let network = Some(land.network);
    store
        .write(|tx| host_cache::told(tx, network, &list, wall_s()))
        .expect("kept");
}

/// What nobody whom the owner appointed signed.
fn forged() -> NameReply {
    let key = |seed| ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let public = key(67).verifying_key().to_bytes();
    let office = Appointment::appoint(&key(66), AccountId([66; 32]), public, wall_s() + 100_000);
    let position = Position::sign(&office, (1 << 40, [6; 32]), wall_s(), &key(67));
    NameReply::Head(Box::new(NameHead {
        office: None,
        head: Some(Statement {
            registrar: office,
            position,
        }),
        proof: None,
    }))
}

async fn until_held(actor: &mut Actor) {
    actor
        .until("the answer", |event| match event {
            Event::Names(names) => names.iter().any(|own| own.state == "held").then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_08_silent_and_lying_supernodes_cost_a_registrar_a_bounded_time() {
    let land = Land::of(3).await;
    let silent = Impostor::settle(&land, [121; 32], Arc::new(|_| None)).await;
    let liar = Impostor::settle(&land, [122; 32], Arc::new(|_| Some(forged()))).await;
    // Never has anything of what it was brought.
    let nothing = Arc::new(|_: &NameQuestion| Some(NameReply::Head(Box::default())));
    let greedy = Impostor::settle(&land, [123; 32], nothing).await;
    let home = folder();
    settle_owner(&land, home.path()).await.node.stop().await;
    told_of(&land, home.path(), &[&silent, &liar, &greedy]);
    let owner = Actor::start(home.path()).await;
    owner.until_registered().await;
    let began = Instant::now();
    let office: view::NameOffice = owner.ask(start("open", false)).await;
    assert!(office.words.contains("gives names"), "{}", office.words);
    let home = folder();
    let mut alice = settle(&land, home.path(), "Alice").await;
    let held: view::OwnName = alice.ask(claim("alice")).await;
    if held.state != "held" {
        until_held(&mut alice).await;
    }
    eprintln!("a name after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(25));
    // While it waits for them it can be asked, and stopped.
    let began = Instant::now();
    let _: view::NameOffice = owner.ask(Command::RegistrarShow {}).await;
    let stopped: view::NameOffice = owner.ask(Command::RegistrarStop {}).await;
    assert!(!stopped.running && began.elapsed() < Duration::from_secs(2));
    let counts = |of: &Impostor| {
        (
            of.heads.load(Ordering::SeqCst),
            of.pages.load(Ordering::SeqCst),
        )
    };
    assert!(counts(&silent).0 > 0);
    let (heads, pages) = counts(&greedy);
    assert!(
        heads > 0 && pages <= heads,
        "{pages} pages in {heads} rounds"
    );
    assert_eq!(counts(&liar).1, 0, "nothing is brought to whoever lies");
    end(land, [alice, owner]).await;
}

/// What a supernode's copy has from there on.
async fn page_from(land: &Land, begin: u64) -> Page {
    let question = Request::Names(NameQuestion::From(begin));
    let asker = Person::new("Somebody").await;
    let answer = asker.ask(land.towns[0].at(), question).await;
    let Ok(Answer::Names(NameReply::Page(Some(page)))) = answer else {
        panic!("{answer:?}");
    };
    *page
}

#[tokio::test(flavor = "multi_thread")]
async fn names_08_one_from_an_old_backup_is_not_held_up_by_the_same_page_again_and_again() {
    let (land, home, registrar) = town().await;
    let homes = [folder(), folder()];
    let alice = settle(&land, homes[0].path(), "Alice").await;
    registrar.node.stop().await;
    let backup = folder();
    copy(home.path(), backup.path());
    let registrar = Actor::start(home.path()).await;
    let _: view::OwnName = alice.ask(claim("alice")).await;
    let bob = settle(&land, homes[1].path(), "Bob").await;
    let _: view::OwnName = bob.ask(claim("bob")).await;
    registrar.node.stop().await;
    // It has both, says the impostor, and sends the first one for ever.
    let whole = page_from(&land, 1).await;
    assert_eq!(whole.entries.len(), 2);
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    let says = move |question: &NameQuestion| {
        Some(match question {
            NameQuestion::From(_) => {
                *counted.lock().expect("counts") += 1;
                let (registrar, entries) = (whole.registrar.clone(), whole.entries[..1].to_vec());
                NameReply::Page(Some(Box::new(Page { registrar, entries })))
            }
            _ => NameReply::Head(Box::new(NameHead {
                office: Some(whole.registrar.clone()),
                head: Some(Statement {
                    registrar: whole.registrar.clone(),
                    position: whole.entries[1].position(),
                }),
                proof: None,
            })),
        })
    };
    let endless = Impostor::settle(&land, [124; 32], Arc::new(says)).await;
    told_of(&land, backup.path(), &[&endless]);
    let restored = Actor::start(backup.path()).await;
    restored.until_registered().await;
    let carol_home = folder();
    let mut carol = settle(&land, carol_home.path(), "Carol").await;
    let held: view::OwnName = carol.ask(claim("carol")).await;
    if held.state != "held" {
        until_held(&mut carol).await;
    }
    let check: view::NameCheck = alice.ask(verify("carol")).await;
    assert!(check.verified && check.entry == 3, "{check:?}");
    let rounds = endless.heads.load(Ordering::SeqCst);
    let asked = *asked.lock().expect("counts");
    assert!(asked <= 4 * rounds, "{asked} pages in {rounds} rounds");
    end(land, [alice, bob, carol, restored]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_10_a_log_with_a_gap_is_refused_until_the_owner_takes_over() {
    let (land, home, registrar) = town().await;
    let homes = [folder(), folder()];
    let alice = settle(&land, homes[0].path(), "Alice").await;
    let bob = settle(&land, homes[1].path(), "Bob").await;
    let _: view::OwnName = alice.ask(claim("alice")).await;
    let _: view::OwnName = bob.ask(claim("bob")).await;
    registrar.node.stop().await;
    let mut store = Store::open(home.path()).expect("a store");
    let lose = |tx: &starling_store::Tx<'_>| {
        let entries = name_log::entries(tx, Whose::Registrar)?;
        name_log::keep(tx, Whose::Registrar, 0)?;
        name_log::append(tx, Whose::Registrar, &entries[1..])
    };
    store.write(lose).expect("written");
    drop(store);
    let registrar = Actor::start(home.path()).await;
    registrar.until_registered().await;
    let refused = registrar
        .try_ask::<view::NameOffice>(start("open", false))
        .await
        .expect_err("a gap");
    assert!(refused.message.contains("gap"), "{refused}");
    let office: view::NameOffice = registrar.ask(Command::RegistrarShow {}).await;
    assert!(office.words.contains("after entry 0"), "{}", office.words);
    let status: view::Status = registrar.ask(Command::Status {}).await;
    assert!(status.warnings.iter().any(|one| one.contains("gap")));
    let office: view::NameOffice = registrar.ask(start("open", true)).await;
    assert_eq!((office.epoch, office.entries), (2, 2), "{}", office.words);
    let status: view::Status = registrar.ask(Command::Status {}).await;
    assert!(!status.warnings.iter().any(|one| one.contains("gap")));
    end(land, [alice, bob, registrar]).await;
}

const DISK: &str = "STARLING_TEST_REGISTRARS_DISK";

/// Not a test of its own: runs on a small file system that [`names_07_on_a_full_disk_a_registrar_loses_nothing`] makes.
#[tokio::test(flavor = "multi_thread")]
async fn registrar_on_a_small_disk() {
    let Some(disk) = std::env::var_os(DISK) else {
        return;
    };
    let disk = std::path::Path::new(&disk);
    let filler = disk.join("filler");
    std::fs::write(&filler, vec![0; 2 << 20]).expect("room for it");
    let land = Land::of(1).await;
    let owner = settle_owner(&land, &disk.join("profile")).await;
    let _: view::NameOffice = owner.ask(start("by hand", false)).await;
    let home = folder();
    let mut alice = settle(&land, home.path(), "Alice").await;
    let waits: view::OwnName = alice.ask(claim("alice")).await;
    assert_eq!(waits.state, "waiting");
    for count in [1_000, 30, 1] {
        let invite = || Command::RegistrarInvite { count };
        let full = loop {
            if let Err(failure) = owner.try_ask::<Vec<String>>(invite()).await {
                break failure;
            }
        };
        assert!(full.message.contains("the disk is full"), "{full}");
    }
    let accept = || {
        Command::RegistrarAccept(NameWish {
            name: "alice".into(),
            account: None,
        })
    };
    let full = owner.try_ask::<view::NameOffice>(accept()).await;
    let full = full.expect_err("no room for an entry");
    assert!(full.message.contains("the disk is full"), "{full}");
    let full = owner.try_ask::<view::OwnName>(claim("olga")).await;
    let full = full.expect_err("no room for a claim");
    assert!(full.message.contains("the disk is full"), "{full}");
    let office: view::NameOffice = owner.ask(Command::RegistrarShow {}).await;
    assert_eq!((office.waiting.len(), office.entries), (1, 0), "{office:?}");
    std::fs::remove_file(&filler).expect("removed");
    let began = Instant::now();
    while let Err(failure) = owner.try_ask::<view::NameOffice>(accept()).await {
        assert!(began.elapsed() < Duration::from_secs(10), "{failure}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    until_held(&mut alice).await;
    println!("the name was given in the end");
    // What it warned of is not held against it.
    std::mem::forget(land);
}

#[test]
fn names_07_on_a_full_disk_a_registrar_loses_nothing() {
    let dir = folder();
    let script = "mount -t tmpfs -o size=5m,mode=700 starling \"$1\" && shift && exec \"$@\"";
    let made = std::process::Command::new("unshare")
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
        .arg(std::env::current_exe().expect("this one"))
        .args([
            "names::impostors::registrar_on_a_small_disk",
            "--exact",
            "--nocapture",
        ])
        .env(DISK, dir.path())
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&made.stdout);
    let why = String::from_utf8_lossy(&made.stderr);
    if !said.contains("running 1 test") {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "{why}"
        );
        println!("SKIPPED: no namespace may be made here: {why}");
        return;
    }
    assert!(said.contains("given in the end"), "{said} {why}");
}
