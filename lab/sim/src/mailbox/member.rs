//! A member's device: what it leaves and collects in each generation's boxes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use starling_protocol::mailbox::collector::{self, Collector, Source};
use starling_protocol::mailbox::depositor::{self, Depositor, Target};
use starling_wire::ids::{EndpointKey, EntryId};
use starling_wire::log::Entry;
use starling_wire::log::frames::{Answer, Ask};
use starling_wire::log::keys::{Generation, PublicBox};
use starling_wire::ordering::Seat;

/// Something to be asked: by which generation's box, of whom.
pub type Question = (usize, EndpointKey, Ask, Arc<[u8]>);

/// What a member has to say to the world.
#[derive(Debug, Default)]
pub struct Told {
    /// To holders.
    pub questions: Vec<Question>,
    /// Shown as held.
    pub held: Vec<(EntryId, usize)>,
    /// Receipts that were kept: of whom, for what.
    pub receipts: Vec<(EndpointKey, EntryId)>,
    /// Holders that are gone, by generation.
    pub gone: Vec<(usize, EndpointKey)>,
}

/// One device.
#[derive(Debug)]
pub struct Member {
    /// Whether it has a network.
    pub online: bool,
    /// Whether it is away for weeks.
    pub away: bool,
    /// What it has, with the day it came.
    pub entries: BTreeMap<EntryId, (Entry, u32)>,
    boxes: Vec<(Depositor<u32>, Collector)>,
    /// What it brings to a new holder.
    copies: Option<(usize, Depositor<u32>, VecDeque<Entry>)>,
}

impl Member {
    /// With nothing.
    pub const fn new(away: bool) -> Self {
        Self {
            online: false,
            away,
            entries: BTreeMap::new(),
            boxes: Vec::new(),
            copies: None,
        }
    }

    /// Up to which generation it knows the boxes.
    pub fn generations(&self) -> usize {
        self.boxes.len()
    }

    /// It learns of another generation, whose holders are in these blocks.
    pub fn learn(&mut self, generation: &Generation, blocks: &[u32], now: Duration) {
        let plan = generation.plan();
        let target = |(seat, block): (_, &u32)| target(generation, seat, *block);
        let seats = plan.holders().seats;
        let targets = seats.iter().copied().zip(blocks).map(target).collect();
        let source = |(seat, public): (_, &PublicBox)| Source {
            seat,
            deposit_key: public.deposit,
        };
        let sources = seats.iter().copied().zip(&plan.boxes).map(source).collect();
        let seed = self.boxes.len() as u64;
        let mut collector = Collector::new(sources);
        for id in self.entries.keys() {
            collector.note_seen(*id);
        }
        if self.online {
            collector.handle_online(now);
        }
        self.boxes.push((Depositor::new(targets, seed), collector));
    }

    /// It brings all that it has of the last days to one new holder.
    pub fn copy(
        &mut self,
        at: usize,
        generation: &Generation,
        holder: EndpointKey,
        since_day: u32,
    ) -> u64 {
        let seats = generation.plan().holders().seats;
        let Some(seat) = seats.into_iter().find(|seat| seat.holder == holder) else {
            return 0;
        };
        let recent = self.entries.values().filter(|(_, day)| *day >= since_day);
        let copies: VecDeque<Entry> = recent.map(|(entry, _)| entry.clone()).collect();
        let bytes = copies.iter().map(|entry| entry.head().cost()).sum();
        let target = target(generation, seat, 0);
        self.copies = Some((at, Depositor::new(vec![target], 1), copies));
        bytes
    }

    /// It leaves a message.
    pub fn write(&mut self, entry: Entry, today: u32, now: Duration) -> Told {
        let head = *entry.head();
        let (kind, body) = ((head.kind, head.slot), entry.body().clone());
        if let Some((depositor, collector)) = self.boxes.last_mut() {
            // A backlog is not what this world is about.
            let _ = depositor.handle_deposit(kind, body, now);
            collector.note_seen(entry.id());
        }
        self.entries.insert(entry.id(), (entry, today));
        self.drain(today)
    }

    /// Its network comes or goes.
    pub fn switch(&mut self, online: bool, now: Duration) {
        self.online = online;
        for (_, collector) in &mut self.boxes {
            match online {
                true => collector.handle_online(now),
                false => collector.handle_offline(now),
            }
        }
    }

    /// It has shown its keys at a holder.
    pub fn connected(&mut self, at: usize, holder: EndpointKey, today: u32, now: Duration) -> Told {
        if let Some((depositor, collector)) = self.boxes.get_mut(at) {
            depositor.handle_connected(holder, now);
            collector.handle_connected(holder, now);
        }
        if let Some((generation, copier, _)) = &mut self.copies
            && *generation == at
        {
            copier.handle_connected(holder, now);
        }
        self.drain(today)
    }

    /// A connection is gone.
    pub fn lost(&mut self, at: usize, holder: EndpointKey, now: Duration) {
        if let Some((depositor, collector)) = self.boxes.get_mut(at) {
            depositor.handle_lost(holder);
            collector.handle_lost(holder, now);
        }
        if let Some((_, copier, _)) = &mut self.copies {
            copier.handle_lost(holder);
        }
    }

    /// A holder said something.
    pub fn hear(
        &mut self,
        (at, holder): (usize, EndpointKey),
        answer: Answer,
        body: Option<Arc<[u8]>>,
        (today, now): (u32, Duration),
    ) -> Told {
        let Some((depositor, collector)) = self.boxes.get_mut(at) else {
            return Told::default();
        };
        match (answer, body) {
            (Answer::Item { number, head }, Some(body)) => {
                collector.handle_item(holder, number, (head, body));
            }
            (answer, _) => {
                depositor.handle_answer(holder, &answer, now);
                if let Some((_, copier, _)) = &mut self.copies {
                    copier.handle_answer(holder, &answer, now);
                }
                collector.handle_answer(holder, answer);
            }
        }
        self.drain(today)
    }

    /// Time.
    pub fn timeout(&mut self, today: u32, now: Duration) -> Told {
        for (depositor, collector) in &mut self.boxes {
            depositor.handle_timeout(now);
            collector.handle_timeout(now);
        }
        if let Some((_, copier, queue)) = &mut self.copies {
            copier.handle_timeout(now);
            drain_receipts(copier);
            while copier.pending() < 200
                && let Some(entry) = queue.pop_front()
            {
                let head = entry.head();
                let kind = (head.kind, head.slot);
                let put = copier.restore(kind, entry.body().clone(), &[]);
                debug_assert!(put.is_ok(), "{put:?}");
            }
        }
        self.drain(today)
    }

    /// Whether something is still on its way.
    pub fn is_busy(&self) -> bool {
        let copies = self.copies.as_ref();
        copies.is_some_and(|(_, copier, queue)| copier.pending() + queue.len() > 0)
    }

    /// What it collected and has not: of these.
    pub fn lacks(&self, ids: &BTreeSet<EntryId>) -> u64 {
        ids.iter()
            .filter(|id| !self.entries.contains_key(id))
            .count() as u64
    }

    fn drain(&mut self, today: u32) -> Told {
        let mut told = Told::default();
        for (at, (depositor, collector)) in self.boxes.iter_mut().enumerate() {
            while let Some(depositor::Persist::Receipt(receipt)) = depositor.poll_persist() {
                let said = receipt.get();
                told.receipts.push((said.seat.holder, said.entry));
            }
            while let Some(persist) = collector.poll_persist() {
                if let collector::Persist::Entry(entry) = persist {
                    self.entries.insert(entry.id(), (entry, today));
                }
            }
            while let Some(ask) = depositor.poll_transmit() {
                told.questions.push((at, ask.holder, ask.ask, ask.body));
            }
            while let Some(ask) = collector.poll_transmit() {
                told.questions
                    .push((at, ask.holder, ask.ask, Arc::from([])));
            }
            while let Some(event) = depositor.poll_event() {
                if let depositor::Event::Held { entry, by } = event {
                    told.held.push((entry, by));
                }
            }
            while let Some(event) = collector.poll_event() {
                if let collector::Event::Lost(holder) = event {
                    told.gone.push((at, holder));
                }
            }
        }
        if let Some((at, copier, _)) = &mut self.copies {
            drain_receipts(copier);
            while let Some(ask) = copier.poll_transmit() {
                told.questions.push((*at, ask.holder, ask.ask, ask.body));
            }
        }
        told
    }
}

fn drain_receipts(copier: &mut Depositor<u32>) {
    while copier.poll_persist().is_some() {}
    while copier.poll_event().is_some() {}
}

fn target(generation: &Generation, seat: Seat, block: u32) -> Target<u32> {
    Target {
        seat,
        keys: generation.keys(seat.holder),
        block,
    }
}
