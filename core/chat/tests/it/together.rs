//! Alice and Bob over a network whose links die with frames on them, with processes that are killed before or after a
//! commit, and with stores that fail. At the end: every message once, in its author's order, and every receipt.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use starling_chat::{Batch, Conversation, Event, LinkId, Outcome, Reach};
use starling_wire::chat::{ChatFrame, ChatMessage};
use starling_wire::ids::MessageId;

use crate::message;

const ALICE: usize = 0;
const BOB: usize = 1;
const STEP: Duration = Duration::from_millis(7);

/// What survives a crash.
#[derive(Debug, Default)]
struct Disk {
    written: Vec<ChatMessage>,
    confirmed: Vec<MessageId>,
    heard: Vec<ChatMessage>,
}

impl Disk {
    fn commit(&mut self, batch: &Batch) -> Outcome {
        let mut outcome = Outcome {
            number: batch.number,
            fresh: vec![],
            delivered: vec![],
        };
        for message in &batch.incoming {
            if !self.heard.iter().any(|known| known.id == message.id) {
                self.heard.push(message.clone());
                outcome.fresh.push(message.id);
            }
        }
        for id in &batch.delivered {
            if !self.confirmed.contains(id) {
                self.confirmed.push(*id);
                outcome.delivered.push(*id);
            }
        }
        outcome
    }

    fn pending(&self, after: Option<MessageId>, limit: u32) -> (Vec<ChatMessage>, bool) {
        let from = after.map_or(0, |id| {
            1 + self.written.iter().position(|m| m.id == id).unwrap()
        });
        let mut found: Vec<_> = self.written[from..]
            .iter()
            .filter(|message| !self.confirmed.contains(&message.id))
            .cloned()
            .collect();
        let last = found.len() <= limit as usize;
        found.truncate(limit as usize);
        (found, last)
    }
}

#[derive(Debug, Default)]
struct Side {
    disk: Disk,
    machine: Conversation,
    /// Committed or about to be, the machine was not told yet.
    batch: Option<Batch>,
    /// What the interface was told.
    shown: Vec<MessageId>,
}

/// A link as both ends and the wire between them; frames arrive in order, or not at all once it is cut.
#[derive(Debug, Default)]
struct Wire {
    up: [bool; 2],
    towards: [VecDeque<ChatFrame>; 2],
}

#[derive(Debug)]
struct World {
    now: Duration,
    sides: [Side; 2],
    wires: BTreeMap<u64, Wire>,
    next_wire: u64,
    next_message: u64,
    /// Dialling works.
    open: bool,
}

/// One thing that goes on or goes wrong.
#[derive(Debug, Clone)]
enum Step {
    Write(usize, u64),
    Arrive(usize, usize),
    Commit(usize),
    Tick(u32),
    Cut(usize),
    Crash(usize),
    CrashAfterCommit(usize),
    StoreFails(usize),
    Dialled(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let side = 0..2usize;
    let step = prop_oneof![
        4 => (side.clone(), 1..200u64).prop_map(|(side, count)| Step::Write(side, count)),
        12 => (side.clone(), 1..300usize).prop_map(|(side, count)| Step::Arrive(side, count)),
        8 => side.clone().prop_map(Step::Commit),
        6 => (1..2_000u32).prop_map(Step::Tick),
        3 => (0..4usize).prop_map(Step::Cut),
        1 => side.clone().prop_map(Step::Crash),
        1 => side.clone().prop_map(Step::CrashAfterCommit),
        1 => side.clone().prop_map(Step::StoreFails),
        1 => side.prop_map(Step::Dialled),
    ];
    proptest::collection::vec(step, 1..150)
}

impl World {
    fn new() -> Self {
        Self {
            now: Duration::from_secs(1),
            sides: Default::default(),
            wires: BTreeMap::new(),
            next_wire: 0,
            next_message: 0,
            open: true,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write(side, count) => {
                for _ in 0..count {
                    self.next_message += 1;
                    self.sides[side]
                        .disk
                        .written
                        .push(message(self.next_message));
                }
                let now = self.now;
                self.sides[side].machine.handle_written(now);
                self.drain(side);
            }
            Step::Arrive(side, count) => self.arrive(side, count),
            Step::Commit(side) => self.commit(side),
            Step::Tick(steps) => self.tick(STEP * steps),
            Step::Cut(nth) => {
                if let Some(number) = self.wires.keys().nth(nth).copied() {
                    self.cut(number);
                }
            }
            Step::Crash(side) => self.crash(side),
            Step::CrashAfterCommit(side) => {
                let side_state = &mut self.sides[side];
                if let Some(batch) = &side_state.batch {
                    side_state.disk.commit(batch);
                }
                self.crash(side);
            }
            Step::StoreFails(side) => {
                self.sides[side].batch = None;
                let now = self.now;
                self.sides[side].machine.handle_store_failed(now);
                self.drain(side);
            }
            // Both may dial at the same moment, so links come in twos and threes.
            Step::Dialled(side) => self.connect(side),
        }
    }

    fn connect(&mut self, side: usize) {
        let now = self.now;
        if !self.open {
            self.sides[side].machine.handle_dial_failed(now);
            return self.drain(side);
        }
        self.next_wire += 1;
        let number = self.next_wire;
        let wire = Wire {
            up: [true, true],
            ..Wire::default()
        };
        self.wires.insert(number, wire);
        for end in [side, 1 - side] {
            self.sides[end].machine.handle_link_up(LinkId(number), now);
            self.drain(end);
        }
    }

    fn arrive(&mut self, side: usize, count: usize) {
        let mut frames = Vec::new();
        for (number, wire) in &mut self.wires {
            let take = count.min(wire.towards[side].len());
            frames.extend(
                wire.towards[side]
                    .drain(..take)
                    .map(|frame| (LinkId(*number), frame)),
            );
        }
        if frames.is_empty() || !self.sides[side].machine.has_room() {
            // Frames that are not read stay with the transport, which loses them with the link at worst.
            for (link, frame) in frames.into_iter().rev() {
                self.wires.get_mut(&link.0).unwrap().towards[side].push_front(frame);
            }
            return;
        }
        let now = self.now;
        self.sides[side].machine.handle_frames(frames, now);
        self.drain(side);
    }

    fn commit(&mut self, side: usize) {
        let state = &mut self.sides[side];
        if let Some(batch) = state.batch.take() {
            let outcome = state.disk.commit(&batch);
            let now = self.now;
            state.machine.handle_persisted(outcome, now);
            self.drain(side);
        }
    }

    fn tick(&mut self, time: Duration) {
        self.now += time;
        for side in [ALICE, BOB] {
            let now = self.now;
            self.sides[side].machine.handle_timeout(now);
            self.drain(side);
            let next = self.sides[side].machine.poll_timeout();
            assert!(
                next.is_none_or(|d| d.at > now),
                "it would be woken in a circle: {next:?}"
            );
        }
    }

    fn cut(&mut self, number: u64) {
        let Some(wire) = self.wires.remove(&number) else {
            return;
        };
        let now = self.now;
        for side in [ALICE, BOB] {
            if wire.up[side] {
                self.sides[side]
                    .machine
                    .handle_link_down(LinkId(number), now);
                self.drain(side);
            }
        }
    }

    /// Everything but the disk is gone; the other side notices by its links.
    fn crash(&mut self, side: usize) {
        self.sides[side].machine = Conversation::default();
        self.sides[side].batch = None;
        for (number, mut wire) in std::mem::take(&mut self.wires) {
            wire.up[side] = false;
            self.wires.insert(number, wire);
            self.cut(number);
        }
        let now = self.now;
        if !self.sides[side].disk.pending(None, 1).0.is_empty() {
            self.sides[side].machine.handle_written(now);
            self.drain(side);
        }
    }

    fn drain(&mut self, side: usize) {
        // The driver's rule: take the batch first; its commit may take a while, as `Step::Commit` decides.
        let state = &mut self.sides[side];
        if state.batch.is_none() {
            state.batch = state.machine.poll_persist();
        }
        let sent: Vec<_> =
            std::iter::from_fn(|| self.sides[side].machine.poll_transmit()).collect();
        let events: Vec<_> = std::iter::from_fn(|| self.sides[side].machine.poll_event()).collect();
        for transmit in sent {
            if let Some(wire) = self.wires.get_mut(&transmit.link.0) {
                wire.towards[1 - side].push_back(transmit.frame);
            }
        }
        for event in events {
            self.carry_out(side, event);
        }
    }

    fn carry_out(&mut self, side: usize, event: Event) {
        match event {
            Event::Arrived(ids) => self.sides[side].shown.extend(ids),
            Event::Delivered(_) | Event::Linked(_) => {}
            Event::Load(load) => {
                let (found, last) = self.sides[side].disk.pending(load.after, load.limit);
                let now = self.now;
                self.sides[side]
                    .machine
                    .handle_loaded(load.number, found, last, now);
                self.drain(side);
            }
            Event::Dial => self.connect(side),
            Event::Close(link, _) => {
                if let Some(wire) = self.wires.get_mut(&link.0) {
                    wire.up[side] = false;
                }
                self.cut(link.0);
            }
        }
    }

    /// From now on nothing goes wrong.
    fn settle(&mut self) {
        for side in [ALICE, BOB] {
            let now = self.now;
            self.sides[side].machine.handle_reach(Reach::Online, now);
            self.drain(side);
        }
        for _ in 0..3_000 {
            for side in [ALICE, BOB] {
                self.arrive(side, 1_000);
                self.commit(side);
            }
            self.tick(Duration::from_millis(50));
            if self.is_settled() {
                return;
            }
        }
        panic!("messages never settled");
    }

    fn is_settled(&self) -> bool {
        self.sides.iter().all(|side| {
            side.disk.confirmed.len() == side.disk.written.len() && side.batch.is_none()
        })
    }

    fn check(&self) {
        for (author, reader) in [(ALICE, BOB), (BOB, ALICE)] {
            let written = &self.sides[author].disk.written;
            let heard = &self.sides[reader].disk.heard;
            assert_eq!(heard, written, "every message once, in its author's order");
            let mut shown = self.sides[reader].shown.clone();
            let all = shown.len();
            shown.sort_unstable();
            shown.dedup();
            assert_eq!(shown.len(), all, "nothing is shown twice");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn every_message_arrives_once_in_order_and_is_receipted(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        world.check();
    }
}

#[test]
fn two_thousand_messages_go_while_the_contact_comes_and_goes() {
    let mut world = World::new();
    world.open = false;
    world.step(&Step::Write(ALICE, 2_000));
    world.tick(Duration::from_secs(300));
    assert_eq!(world.sides[BOB].disk.heard.len(), 0);
    world.open = true;
    world.tick(Duration::from_secs(60));
    for round in 0..20 {
        world.arrive(BOB, 150);
        world.commit(BOB);
        world.arrive(ALICE, 150);
        world.commit(ALICE);
        if round % 3 == 0 {
            let number = *world.wires.keys().next().unwrap();
            world.cut(number);
            world.tick(Duration::from_secs(5));
        }
    }
    world.settle();
    world.check();
    assert_eq!(world.sides[BOB].shown.len(), 2_000);
}
