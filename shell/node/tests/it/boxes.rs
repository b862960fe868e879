//! Conversations' boxes at mailbox holders, over real sockets: what is left at three of them, who dies, who is full, who lies.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use starling_control::{Command, view};
use starling_node::StoreError;
use starling_node::clock::Clock;
use starling_node::drivers::boxes::{
    Away, Desk, Granter, Keeper, Kept, Later, Log, LogEvent, Standing, Start, ask_grant,
    find_holders,
};
use starling_node::roles::Role;
use starling_node::roles::carrier::Carrier;
use starling_protocol::mailbox::depositor::Reason;
use starling_protocol::mailbox::holder::Caps;
use starling_wire::ids::{EndpointKey, EntryId, EpochTag, NetworkId};
use starling_wire::log::Kind;
use starling_wire::log::frames::{Answer as Said, Ask, Refusal};
use starling_wire::log::keys::Generation;
use starling_wire::ordering::{Ballot, Slot};
use starling_wire::supernode::{Answer, SupernodeAddr};
use tokio::sync::mpsc;

use crate::cast::{Actor, PATIENCE, config, folder};
use crate::overlay::{Land, Person};

mod hostile;
mod killed;
mod packages;

const FIRST: EpochTag = EpochTag([4; 16]);
const SLOT: Slot = Slot {
    epoch: FIRST,
    attempt: 0,
};

/// What a member's device has on disk.
#[derive(Default)]
pub struct Shelf(Mutex<Vec<Kept>>);

impl Shelf {
    fn kept(&self) -> Vec<Kept> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The entries collected, in their order.
    fn entries(&self) -> Vec<EntryId> {
        let kept = self.kept().into_iter();
        let entries = kept.filter_map(|one| match one {
            Kept::Entry(entry) => Some(entry.id()),
            _ => None,
        });
        entries.collect()
    }

    /// Which holder gave a receipt for which entry.
    fn receipts(&self) -> BTreeSet<(EndpointKey, EntryId)> {
        let kept = self.kept().into_iter();
        let receipts = kept.filter_map(|one| match one {
            Kept::Receipt(receipt) => Some((receipt.get().seat.holder, receipt.get().entry)),
            _ => None,
        });
        receipts.collect()
    }
}

impl Keeper for Shelf {
    fn keep(&self, kept: Vec<Kept>) -> Later<'_, Result<(), StoreError>> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.extend(kept);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A member's device, at home at one of the supernodes.
pub struct Member {
    person: Person,
    desk: Desk,
    home: SupernodeAddr,
}

/// One conversation's log at a member.
pub struct Talk {
    log: Log,
    events: mpsc::Receiver<LogEvent>,
    shelf: Arc<Shelf>,
}

impl Member {
    async fn new(name: &str, home: &SupernodeAddr) -> Self {
        let person = Person::new(name).await;
        assert_eq!(person.settle(home, 1).await, Ok(Answer::Ok));
        let clock = Clock::start();
        let (supernodes, at) = (Arc::clone(&person.supernodes), home.clone());
        let granter: Granter = Arc::new(move || {
            let (supernodes, at) = (Arc::clone(&supernodes), at.clone());
            Box::pin(async move { ask_grant(&supernodes, &at).await })
        });
        let door = Arc::clone(&person.door);
        Self {
            desk: Desk::new(door, Carrier::new(clock), clock, granter),
            home: home.clone(),
            person,
        }
    }

    fn talk(&self, generation: &Generation, homes: &[SupernodeAddr]) -> Talk {
        let shelf = Arc::new(Shelf::default());
        let start = Start {
            generation: generation.clone(),
            homes: homes.to_vec(),
            cursors: Vec::new(),
            seen: Vec::new(),
            pending: Vec::new(),
        };
        let keeper = Arc::clone(&shelf) as Arc<dyn Keeper>;
        let (log, events) = Log::start(self.desk.clone(), start, keeper).expect("it begins");
        Talk { log, events, shelf }
    }

    /// The holders that the home tells of, once it knows so many.
    async fn holders(&self, network: NetworkId, count: usize) -> Vec<SupernodeAddr> {
        let began = Instant::now();
        loop {
            let found = find_holders(&self.person.supernodes, &self.home, Some(network)).await;
            let found = found.expect("an answer");
            if found.len() == count {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{found:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Talk {
    /// Leaves a message of which nothing but the number is known.
    async fn say(&self, number: u64) -> EntryId {
        let left = self.log.deposit((Kind::Message, SLOT), body(number)).await;
        left.expect("it is left")
    }

    async fn until<T>(&mut self, what: &str, fits: impl Fn(&LogEvent) -> Option<T>) -> T {
        let wait = async {
            loop {
                let event = self.events.recv().await.expect("the log goes on");
                tracing::debug!(?event, "told");
                if let Some(found) = fits(&event) {
                    return found;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(found) => found,
            Err(_) => panic!("waited {PATIENCE:?} for {what}"),
        }
    }

    async fn until_held(&mut self, entry: EntryId, copies: usize) {
        let fits = |event: &LogEvent| match event {
            LogEvent::Held { entry: held, by } => (*held == entry && *by >= copies).then_some(()),
            _ => None,
        };
        self.until("copies", fits).await;
    }

    /// Until the shelf is as it should be.
    async fn until_kept(&self, what: &str, fits: impl Fn(&Shelf) -> bool) {
        let began = Instant::now();
        while !fits(&self.shelf) {
            assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn until_away(&mut self, away: Away) {
        let fits = |event: &LogEvent| match event {
            LogEvent::Away(_, why) => (*why == away).then_some(()),
            _ => None,
        };
        self.until("that nobody is there", fits).await;
    }

    async fn follow(&self) {
        self.log.online(true).await.expect("it goes on");
        self.log.stay(true).await.expect("it goes on");
    }
}

fn body(number: u64) -> Arc<[u8]> {
    let mut body = vec![7; 512];
    body[..8].copy_from_slice(&number.to_be_bytes());
    body.into()
}

fn generation(secret: u8, holders: &[SupernodeAddr]) -> Generation {
    Generation {
        number: 1,
        secret: [secret; 32].into(),
        first: FIRST,
        holders: holders.iter().map(|home| home.id).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn box_21_what_lies_at_three_holders_is_collected_after_one_has_died() {
    let mut land = Land::spread(3).await;
    land.whole().await;
    let alice = Member::new("Alice", land.towns[0].at()).await;
    let bob = Member::new("Bob", land.towns[1].at()).await;
    let homes = alice.holders(land.network, 3).await;
    let secret = generation(1, &homes);
    let mut alices = alice.talk(&secret, &homes);
    alices.log.online(true).await.expect("it goes on");
    let began = Instant::now();
    let mut said = Vec::new();
    for number in 0..20 {
        said.push(alices.say(number).await);
    }
    for entry in &said {
        alices.until_held(*entry, 3).await;
    }
    println!("20 entries at three holders after {:?}", began.elapsed());
    assert_eq!(alices.shelf.receipts().len(), 60, "each at each holder");
    let died = land.towns.pop().expect("three");
    died.supernode.stop().await;
    let mut bobs = bob.talk(&secret, &homes);
    let began = Instant::now();
    bobs.follow().await;
    let caught_up = |event: &LogEvent| matches!(event, LogEvent::CaughtUp(_)).then_some(());
    bobs.until("all that was there", caught_up).await;
    println!("collected after {:?}", began.elapsed());
    bobs.until("the second holder", caught_up).await;
    assert_eq!(bobs.shelf.entries(), said, "each once, in their order");
    // What is left now comes at once.
    let began = Instant::now();
    let last = alices.say(99).await;
    alices.until_held(last, 2).await;
    bobs.until_kept("what was said now", |shelf| shelf.entries().contains(&last))
        .await;
    println!("heard after {:?}", began.elapsed());
    // A register at those who live.
    let ballot = Ballot {
        counter: 1,
        salt: [9; 8],
    };
    let ask = Ask::Prepare {
        slot: SLOT,
        ballot,
        seen: None,
    };
    let holder = land.towns[0].at().id;
    alices.log.ask(holder, ask).await.expect("it goes on");
    let promised = |event: &LogEvent| match event {
        LogEvent::Said(from, Said::Promise(promise)) => Some((*from, promise.promise)),
        _ => None,
    };
    let (from, promise) = alices.until("a promise", promised).await;
    assert_eq!(from, holder);
    let known = promise.verify().expect("signed");
    assert_eq!((known.get().slot, known.get().ballot), (SLOT, ballot));
    let figures = land.towns[0].supernode.holding().figures;
    assert_eq!((figures.boxes, figures.entries), (1, 21));
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn box_12_a_holder_that_starts_anew_has_everything() {
    let mut land = Land::of(1).await;
    let alice = Member::new("Alice", land.towns[0].at()).await;
    let homes = alice.holders(land.network, 1).await;
    let secret = generation(2, &homes);
    let mut alices = alice.talk(&secret, &homes);
    let mut said = Vec::new();
    for number in 0..5 {
        said.push(alices.say(number).await);
    }
    for entry in &said {
        alices.until_held(*entry, 1).await;
    }
    drop(alices);
    let before = land.towns[0].supernode.holding().figures;
    let town = land.towns.pop().expect("one");
    town.supernode.stop().await;
    let town = town.again(land.network).await;
    let after = town.supernode.holding().figures;
    assert_eq!(
        (after.boxes, after.entries, after.bytes),
        (before.boxes, before.entries, before.bytes)
    );
    let bob = Member::new("Bob", town.at()).await;
    let bobs = bob.talk(&secret, std::slice::from_ref(town.at()));
    bobs.log.online(true).await.expect("it goes on");
    bobs.log.collect().await.expect("it goes on");
    bobs.until_kept("all", |shelf| shelf.entries() == said)
        .await;
    town.supernode.stop().await;
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn box_11_what_a_full_holder_does_not_take_is_said_and_is_left_once_there_is_room() {
    let land = Land::of(1).await;
    let town = &land.towns[0];
    let caps = Caps {
        entries: 2,
        ..Caps::default()
    };
    town.supernode.set_holding(caps).await;
    let alice = Member::new("Alice", town.at()).await;
    let homes = [town.at().clone()];
    let mut talk = alice.talk(&generation(3, &homes), &homes);
    for number in 0..2 {
        let entry = talk.say(number).await;
        talk.until_held(entry, 1).await;
    }
    let third = talk.say(2).await;
    let began = Instant::now();
    loop {
        let standing = talk.log.standing(third).await.expect("it goes on");
        let full = Standing::Paused(Reason::Said(Refusal::HolderFull));
        if standing == [(town.at().id, full)] {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{standing:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(town.supernode.holding().refused[&Refusal::HolderFull] >= 1);
    town.supernode.set_holding(Caps::default()).await;
    talk.until_held(third, 1).await;
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn box_20_a_holder_whose_role_ends_gives_what_it_has_and_takes_no_message() {
    let land = Land::of(1).await;
    let town = &land.towns[0];
    let [alice, bob] = [
        Member::new("Alice", town.at()).await,
        Member::new("Bob", town.at()).await,
    ];
    let homes = [town.at().clone()];
    let secret = generation(4, &homes);
    let mut alices = alice.talk(&secret, &homes);
    let entry = alices.say(1).await;
    alices.until_held(entry, 1).await;
    town.carrier.set(Role::Mailbox, false);
    let lost = |event: &LogEvent| matches!(event, LogEvent::Lost(_)).then_some(());
    alices.until("that it stops", lost).await;
    let refused = alices.say(2).await;
    let failed = |event: &LogEvent| match event {
        LogEvent::Failed(entry, why) => Some((*entry, *why)),
        _ => None,
    };
    let told = alices.until("a reason", failed).await;
    assert_eq!(told, (refused, Refusal::Leaving));
    let bobs = bob.talk(&secret, &homes);
    bobs.log.collect().await.expect("it goes on");
    bobs.until_kept("what is there", |shelf| shelf.entries() == [entry])
        .await;
    // Nobody may open another one.
    let mut others = alice.talk(&generation(5, &homes), &homes);
    others.say(3).await;
    others.until_away(Away::Refused(Refusal::Leaving)).await;
    // Switched on again it is as before.
    town.carrier.set(Role::Mailbox, true);
    let entry = others.say(4).await;
    others.until_held(entry, 1).await;
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn role_03_where_the_administrator_forbids_mailboxes_there_are_none() {
    let home = folder();
    let file = home.path().join("further.toml");
    std::fs::write(&file, "format = 1\n[roles]\nmailbox = \"never\"").expect("it is written");
    let mut config = config(&home.path().join("profile"));
    config.further_policy = Some(file);
    config.supernode = true;
    let sven = Actor::start_with(config).await;
    let made: view::NetworkMade = sven
        .ask(Command::NetworkInit {
            name: "Town".into(),
            advertise: None,
        })
        .await;
    let link: starling_wire::link::Link = made.link.parse().expect("a link");
    let at = link.supernodes[0].clone();
    let alice = Member::new("Alice", &at).await;
    let found = find_holders(&alice.person.supernodes, &at, link.network).await;
    assert_eq!(found.expect("an answer"), [], "nobody is told of it");
    let homes = [at];
    let mut talk = alice.talk(&generation(6, &homes), &homes);
    talk.say(1).await;
    talk.until_away(Away::NoMailbox).await;
    sven.node.stop().await;
}
