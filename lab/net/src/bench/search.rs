//! Searching among 100,000 names on the link: the log is made here, signed by a registrar whom the network's owner appointed, and
//! lies in the supernode's store before it starts. A client may search thirty times at once, so several do.

use std::path::Path;
use std::time::Instant;

use ed25519_dalek::SigningKey;
use starling_control::{Command, view};
use starling_node::clock::wall_s;
use starling_store::name_log::{self, Whose};
use starling_store::{Store, StoreError, Tx, name_search, networks};
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_log::{Entry, Listing};
use starling_wire::record::registrar::{Office, Registrar};

use crate::actor::{Actor, ActorError, Seat};
use crate::bench::Findings;
use crate::bench::stage::{PATIENCE, three_hosts};
use crate::story;
use crate::{Line, Net};

const NAMES: u64 = 100_000;
const CLIENTS: usize = 7;
const SEARCHES: usize = 29;
const SYLLABLES: [&str; 16] = [
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "we",
];

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let net = three_hosts(Line::reference())?;
    let folder = story::temporary_folder()?;
    let seat = Seat::on(net.host("supernode"));
    let (supernode, network) = story::found_network(folder.path(), seat, PATIENCE)?;
    let home = supernode.home().to_owned();
    supernode.stop()?;
    let made = fill(&home).map_err(|error| ActorError::Story(error.to_string()))?;
    findings.remark(format!(
        "The log of {NAMES} names was made and stored in {made:.0} s."
    ));
    let supernode = Actor::start("supernode", &home, seat, true, PATIENCE)?;
    let mut took = Vec::new();
    for number in 0..CLIENTS {
        let client = settle(&net, folder.path(), &network, number)?;
        for search in 0..SEARCHES {
            took.push(search_once(&client, number * SEARCHES + search)?);
        }
        client.stop()?;
    }
    report(findings, took);
    supernode.stop()
}

fn settle(net: &Net, folder: &Path, network: &str, number: usize) -> Result<Actor, ActorError> {
    let host = net.host(if number.is_multiple_of(2) {
        "alice"
    } else {
        "bob"
    });
    let name = format!("Client{number}");
    story::join_network(&name, folder, Seat::on(host), network, PATIENCE)
}

/// How many milliseconds it took.
fn search_once(client: &Actor, number: usize) -> Result<f64, ActorError> {
    let text = wanted(number);
    let start = Instant::now();
    let found: Vec<view::FoundName> = client.ask(Command::Search { text: text.clone() })?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    if found.is_empty() {
        return Err(client.story(format!("found nobody for {text}")));
    }
    Ok(took)
}

fn report(findings: &mut Findings, mut took: Vec<f64>) {
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took[took.len() * percent / 100];
    findings.add("search", at(95));
    findings.remark(format!(
        "{} searches among {NAMES} names: p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms.",
        took.len(),
        at(50),
        at(95),
        at(99)
    ));
}

/// By turns a whole name, the beginning of one, and two words of a display name.
fn wanted(number: usize) -> String {
    let person = number as u64 * 487 % NAMES;
    match number % 3 {
        0 => name_of(person),
        1 => name_of(person).chars().take(4).collect(),
        _ => listing_of(person),
    }
}

fn syllables(mut number: u64, count: usize) -> String {
    let mut word = String::new();
    for _ in 0..count {
        word.push_str(SYLLABLES[(number % 16) as usize]);
        number /= 16;
    }
    word
}

fn name_of(person: u64) -> String {
    format!("{}.{person}", syllables(person, 3))
}

fn listing_of(person: u64) -> String {
    format!("{} {}", syllables(person, 2), syllables(person / 7, 3))
}

/// Writes the log into the supernode's store; how many seconds it took.
fn fill(home: &Path) -> Result<f64, StoreError> {
    let start = Instant::now();
    let mut store = Store::open(home)?;
    store.write(|tx| {
        let joined = networks::list(tx)?.into_iter().next();
        let seed = joined.and_then(|joined| joined.owner);
        let seed = seed.ok_or(StoreError::Missing("network's owner"))?;
        enter(tx, &SigningKey::from_bytes(&seed))
    })?;
    Ok(start.elapsed().as_secs_f64())
}

fn enter(tx: &Tx<'_>, owner: &SigningKey) -> Result<(), StoreError> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let now = wall_s();
    let until = now + 365 * 24 * 3600;
    let public = key.verifying_key().to_bytes();
    let appointment = Registrar::appoint(owner, AccountId([1; 32]), public, until);
    name_log::appoint(tx, Whose::Copy, &appointment)?;
    let office = Office::new(appointment, key).ok_or(StoreError::Damaged)?;
    let mut before = [0; 32];
    for person in 0..NAMES {
        let mut account = [2; 32];
        account[..8].copy_from_slice(&person.to_be_bytes());
        let entry = Entry {
            height: person + 1,
            before,
            at: now,
            name: Name::typed(&name_of(person)).map_err(|_| StoreError::Damaged)?,
            account: Some(AccountId(account)),
            until,
            listing: Listing::new(listing_of(person)).ok(),
        };
        before = entry.hash();
        let signed = [office.enter(entry)];
        name_log::append(tx, Whose::Copy, &signed)?;
        name_search::apply(tx, &signed[0])?;
    }
    Ok(())
}
