//! What a group of devices costs: changes, messages, bytes and rows, by its size, its suite and the state of its tree.
//!
//! Everything runs in this process, with no disk and no network: times are of one core. Sizes are bytes, times milliseconds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Instant, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use starling_chat::mls::{ADDS_MAX, Change, Client, Group, KeyPackage, Opened, Outgoing, Suite};
use starling_wire::account::Founding;
use starling_wire::credential::Credential;
use starling_wire::ids::{DeviceId, GroupId};

use crate::bench::machine::Machine;

const GROUP: GroupId = GroupId([7; 32]);
/// Of our own record of the group: roles, topic, holders of a group of some size.
const RECORD: usize = 4 * 1024;
const TEXT: [u8; 200] = [b'x'; 200];
/// Messages of one batch, and how often every other step is measured.
const BATCH: usize = 2_000;
const REPEATS: usize = 5;
/// Asked at 256 leaves: adding a device, following a commit, milliseconds; opening in batches, messages a second.
const ADD_MS: f64 = 1_000.0;
const FOLLOW_MS: f64 = 50.0;
const OPENED: f64 = 5_000.0;
const ASKED_AT: usize = 256;

/// One group to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Its devices.
    pub leaves: usize,
    /// Its suite.
    pub suite: Suite,
    /// Whether every device has committed since it came in. Else one took in all others, and nobody has committed since:
    /// the tree is as bad as it gets.
    pub warm: bool,
}

/// The groups that stand in the table.
pub const ORDERS: [Order; 8] = [
    order(2, Suite::Hybrid, true),
    order(48, Suite::Hybrid, true),
    order(48, Suite::Hybrid, false),
    order(48, Suite::Classic, true),
    order(256, Suite::Classic, true),
    order(256, Suite::Classic, false),
    order(1_000, Suite::Classic, true),
    order(1_000, Suite::Classic, false),
];

const fn order(leaves: usize, suite: Suite, warm: bool) -> Order {
    Order {
        leaves,
        suite,
        warm,
    }
}

/// Least, median and greatest of what was measured.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    least: f64,
    median: f64,
    greatest: f64,
}

/// What one group costs.
#[derive(Debug)]
pub struct Cost {
    order: Order,
    add: Spread,
    join: Spread,
    update: Spread,
    follow: Spread,
    remove: Spread,
    load: Spread,
    opened: Spread,
    sealed: Spread,
    add_bytes: usize,
    welcome_bytes: usize,
    tree_bytes: usize,
    update_bytes: usize,
    info_bytes: usize,
    rows_bytes: usize,
    batch_bytes: usize,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
#[error("a group did not do what it should: {0}")]
pub struct GroupsError(String);

impl GroupsError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

type Outcome<T> = Result<T, GroupsError>;

/// One device: its client and what it has stored.
struct Device {
    key: SigningKey,
    credential: Credential,
    client: Client,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Device {
    fn new(number: usize) -> Outcome<Self> {
        let mut seed = [3; 32];
        seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let key = SigningKey::from_bytes(&seed);
        let device = DeviceId(key.verifying_key().to_bytes());
        let chain = Founding::new(&seed).found(device, "laptop");
        let credential = Credential::of(&chain, device);
        let credential = credential.ok_or_else(|| GroupsError::of("a device is not listed"))?;
        Ok(Self {
            client: Client::new(&key, &credential, []).map_err(GroupsError::of)?,
            key,
            credential,
            rows: BTreeMap::new(),
        })
    }

    fn group(&mut self) -> Outcome<Group<'_>> {
        let group = self.client.group(GROUP).map_err(GroupsError::of)?;
        group.ok_or_else(|| GroupsError::of("the group is gone"))
    }

    /// What a store does in one transaction, without a disk. Tells how many bytes it would write.
    fn store(&mut self) -> Outcome<usize> {
        let changes = self.client.take_changes().map_err(GroupsError::of)?;
        let size = changes.size();
        for key in changes.delete {
            self.rows.remove(&key);
        }
        for (key, value) in changes.put {
            self.rows.insert(key, value.to_vec());
        }
        Ok(size)
    }

    fn commit(&mut self, change: &Change) -> Outcome<Outgoing> {
        let mut group = self.group()?;
        let outgoing = group.stage(change, b"").map_err(GroupsError::of)?;
        group.merge_own().map_err(GroupsError::of)?;
        self.store()?;
        Ok(outgoing)
    }

    fn follow(&mut self, commit: &[u8]) -> Outcome<()> {
        let mut group = self.group()?;
        let Opened::Commit(commit) = group.open(commit).map_err(GroupsError::of)? else {
            return Err(GroupsError::of("no commit"));
        };
        group.merge(*commit).map_err(GroupsError::of)?;
        self.store()?;
        Ok(())
    }

    fn join(&mut self, outgoing: &Outgoing) -> Outcome<()> {
        let welcome = outgoing.welcome.as_deref().unwrap_or_default();
        let joined = self.client.join(welcome, outgoing.tree.as_deref());
        joined.map_err(GroupsError::of)?;
        self.store()?;
        Ok(())
    }

    fn package(&mut self, suite: Suite, reader: &mut Self) -> Outcome<KeyPackage> {
        let now_s = now_s();
        let made = self.client.make_key_packages(suite, 1, now_s);
        let made = made.map_err(GroupsError::of)?;
        let read = reader.client.read_key_package(&made[0], now_s);
        read.map_err(GroupsError::of)
    }
}

fn now_s() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// Alice, who makes the group and all changes, and Bob, who came last and follows.
struct Pair {
    alice: Device,
    bob: Device,
    order: Order,
    /// The next new device's number.
    next: usize,
}

/// Builds a group and measures it.
pub fn measure(order: Order, tell: &dyn Fn(&str)) -> Outcome<Cost> {
    let mut pair = Pair::build(order, tell)?;
    let mut cost = pair.changes()?;
    pair.messages(&mut cost)?;
    pair.state(&mut cost)?;
    tell(&format!("{cost:?}"));
    Ok(cost)
}

impl Pair {
    fn build(order: Order, tell: &dyn Fn(&str)) -> Outcome<Self> {
        let mut alice = Device::new(0)?;
        let made = alice
            .client
            .create(GROUP, order.suite, &[b'r'; RECORD], now_s());
        made.map_err(GroupsError::of)?;
        let mut next = 1;
        let step = if order.warm { 1 } else { ADDS_MAX };
        while next < order.leaves - 1 {
            let until = (next + step).min(order.leaves - 1);
            let mut devices = (next..until)
                .map(Device::new)
                .collect::<Outcome<Vec<_>>>()?;
            let mut change = Change::default();
            for device in &mut devices {
                change.add.push(device.package(order.suite, &mut alice)?);
            }
            let outgoing = alice.commit(&change)?;
            if order.warm {
                devices[0].join(&outgoing)?;
                let update = devices[0].commit(&Change::default())?;
                alice.follow(&update.commit)?;
            }
            next = until;
            if next % 100 == 0 {
                tell(&format!("{next} devices"));
            }
        }
        let mut bob = Device::new(order.leaves - 1)?;
        let change = Change {
            add: vec![bob.package(order.suite, &mut alice)?],
            ..Change::default()
        };
        let outgoing = alice.commit(&change)?;
        bob.join(&outgoing)?;
        if order.warm {
            let update = bob.commit(&Change::default())?;
            alice.follow(&update.commit)?;
        }
        Ok(Self {
            alice,
            bob,
            order,
            next: order.leaves,
        })
    }

    /// A device comes in and is removed, and Alice gives herself new keys; Bob follows all of it.
    fn changes(&mut self) -> Outcome<Cost> {
        let (mut add, mut join, mut remove) = (Vec::new(), Vec::new(), Vec::new());
        let (mut update, mut follow) = (Vec::new(), Vec::new());
        let mut sizes = [0; 5];
        for _ in 0..REPEATS {
            let mut carol = Device::new(self.next)?;
            self.next += 1;
            let change = Change {
                add: vec![carol.package(self.order.suite, &mut self.alice)?],
                ..Change::default()
            };
            let (added, took) = timed(|| self.alice.commit(&change))?;
            add.push(took);
            join.push(timed(|| carol.join(&added))?.1);
            follow.push(timed(|| self.bob.follow(&added.commit))?.1);
            let change = Change {
                remove: vec![carol.client.member().device],
                ..Change::default()
            };
            let (removed, took) = timed(|| self.alice.commit(&change))?;
            remove.push(took);
            follow.push(timed(|| self.bob.follow(&removed.commit))?.1);
            let (updated, took) = timed(|| self.alice.commit(&Change::default()))?;
            update.push(took);
            follow.push(timed(|| self.bob.follow(&updated.commit))?.1);
            sizes = self.sizes(&added, &updated)?;
        }
        let [
            add_bytes,
            welcome_bytes,
            tree_bytes,
            update_bytes,
            info_bytes,
        ] = sizes;
        Ok(Cost {
            order: self.order,
            add: spread(add),
            join: spread(join),
            update: spread(update),
            follow: spread(follow),
            remove: spread(remove),
            load: Spread::default(),
            opened: Spread::default(),
            sealed: Spread::default(),
            add_bytes,
            welcome_bytes,
            tree_bytes,
            update_bytes,
            info_bytes,
            rows_bytes: 0,
            batch_bytes: 0,
        })
    }

    /// Of an added device's commit and Welcome, the tree, a commit that adds nobody, and a `GroupInfo` without the tree.
    fn sizes(&mut self, added: &Outgoing, updated: &Outgoing) -> Outcome<[usize; 5]> {
        let mut group = self.alice.group()?;
        let tree = group.tree().map_err(GroupsError::of)?;
        let info = group.group_info(false).map_err(GroupsError::of)?;
        Ok([
            added.commit.len(),
            added.welcome.as_ref().map_or(0, Vec::len),
            tree.len(),
            updated.commit.len(),
            info.len(),
        ])
    }

    /// Alice seals and Bob opens a batch, each with the one write at its end.
    fn messages(&mut self, cost: &mut Cost) -> Outcome<()> {
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            let alice = &mut self.alice;
            let (batch, took) = timed(|| {
                let mut group = alice.group()?;
                let batch: Vec<_> = (0..BATCH)
                    .map(|_| group.seal(&TEXT, &[0; 32]).map_err(GroupsError::of))
                    .collect::<Outcome<_>>()?;
                alice.store()?;
                Ok(batch)
            })?;
            sealed.push(rate(took));
            let bob = &mut self.bob;
            let (size, took) = timed(|| {
                let mut group = bob.group()?;
                for message in &batch {
                    group.open(message).map_err(GroupsError::of)?;
                }
                bob.store()
            })?;
            opened.push(rate(took));
            cost.batch_bytes = size;
        }
        cost.sealed = spread(sealed);
        cost.opened = spread(opened);
        Ok(())
    }

    /// What Bob keeps, and how long he takes to read it at a start.
    fn state(&mut self, cost: &mut Cost) -> Outcome<()> {
        let bob = &mut self.bob;
        cost.rows_bytes = bob.rows.values().map(Vec::len).sum();
        let mut load = Vec::new();
        for _ in 0..REPEATS {
            let rows = bob.rows.clone();
            let (client, took) = timed(|| {
                let mut client =
                    Client::new(&bob.key, &bob.credential, rows).map_err(GroupsError::of)?;
                client.group(GROUP).map_err(GroupsError::of)?;
                Ok(client)
            })?;
            bob.client = client;
            load.push(took);
        }
        cost.load = spread(load);
        Ok(())
    }
}

/// What something gives, and how long it takes in milliseconds.
fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let began = Instant::now();
    let value = work()?;
    Ok((value, began.elapsed().as_secs_f64() * 1_000.0))
}

/// Messages a second of a batch.
fn rate(milliseconds: f64) -> f64 {
    BATCH as f64 / milliseconds * 1_000.0
}

fn spread(mut samples: Vec<f64>) -> Spread {
    samples.sort_by(f64::total_cmp);
    let (Some(least), Some(greatest)) = (samples.first(), samples.last()) else {
        return Spread::default();
    };
    Spread {
        least: *least,
        median: samples[samples.len() / 2],
        greatest: *greatest,
    }
}

impl Cost {
    /// Whether what is asked at its size holds.
    pub fn holds(&self) -> bool {
        self.order.leaves != ASKED_AT
            || (self.add.median <= ADD_MS
                && self.follow.median <= FOLLOW_MS
                && self.opened.median >= OPENED)
    }

    fn row(&self) -> String {
        let asked = self.order.leaves == ASKED_AT;
        let suite = match self.order.suite {
            Suite::Hybrid => "hybrid",
            Suite::Classic => "classic",
        };
        let tree = if self.order.warm { "warm" } else { "cold" };
        let marked = |missed: bool, text: String| {
            if asked && missed {
                format!("**missed** {text}")
            } else {
                text
            }
        };
        format!(
            "| {}, {suite}, {tree} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.order.leaves,
            marked(self.add.median > ADD_MS, milliseconds(self.add)),
            milliseconds(self.join),
            marked(self.follow.median > FOLLOW_MS, milliseconds(self.follow)),
            milliseconds(self.update),
            milliseconds(self.remove),
            marked(self.opened.median < OPENED, each_second(self.opened)),
            each_second(self.sealed),
            milliseconds(self.load),
            self.bytes(),
        )
    }

    fn bytes(&self) -> String {
        [
            self.add_bytes,
            self.update_bytes,
            self.welcome_bytes,
            self.tree_bytes,
            self.info_bytes,
            self.rows_bytes,
            self.batch_bytes,
        ]
        .map(|bytes| format!("{:.1}", bytes as f64 / 1_000.0))
        .join(" | ")
    }
}

fn milliseconds(spread: Spread) -> String {
    let Spread {
        least,
        median,
        greatest,
    } = spread;
    format!("{median:.1} ({least:.1} - {greatest:.1})")
}

fn each_second(spread: Spread) -> String {
    let Spread {
        least,
        median,
        greatest,
    } = spread;
    format!("{median:.0} ({least:.0} - {greatest:.0})")
}

/// The section of the page of benchmarks.
pub fn table(machine: &Machine, costs: &[Cost]) -> String {
    let mut text = format!(
        "One device's side of a group, in one process, without disk or network; median (least - greatest) of {REPEATS}, of three times as many for commits followed. \
         Every step ends with its rows taken as for one transaction. Warm: every device has committed since it came in; cold: all but two were taken in, {ADDS_MAX} at a time, by one that alone has committed since. \
         Messages: {BATCH} of 200 bytes by one author in one batch; rows: all that one device keeps, two past epochs included; batch: what it writes for a batch of {BATCH}. \
         Our own record has {RECORD} bytes. Asked at {ASKED_AT} devices: add within {ADD_MS:.0} ms, follow within {FOLLOW_MS:.0} ms, open at least {OPENED:.0} a second. \
         {}, commit {}, {} build, {} cores, load {:.1}.\n\n",
        machine.date, machine.commit, machine.profile, machine.cores, machine.load
    );
    text += "| devices, suite, tree | add, ms | join, ms | follow, ms | own update, ms | remove, ms | opened, 1/s | sealed, 1/s | load, ms | kB: add | update | Welcome | tree | `GroupInfo` | rows | batch |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for cost in costs {
        let _ = writeln!(text, "{}", cost.row());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_group_is_measured_and_stands_in_the_table() {
        let order = order(3, Suite::Classic, true);
        let cost = measure(order, &|_| {}).expect("it is measured");
        assert!(cost.holds(), "nothing is asked at this size");
        let row = cost.row();
        assert_eq!(row.matches(" | ").count(), 15, "{row}");
        assert!(row.starts_with("| 3, classic, warm | "), "{row}");
        assert!(!row.contains("missed"), "{row}");
    }

    #[test]
    fn what_is_missed_is_said() {
        let mut cost = measure(order(2, Suite::Classic, false), &|_| {}).expect("it is measured");
        cost.order.leaves = ASKED_AT;
        cost.follow.median = FOLLOW_MS + 1.0;
        assert!(!cost.holds());
        assert!(cost.row().contains("**missed**"));
    }
}
