//! The forwarder: carries packets between TUN devices, late and lossy as [`crate::link_model`] says.
//!
//! One thread for each device reads what its host sends, asks the model of the line to the addressed
//! host, and writes the packet into that host's device when it is due. Threads sleep until shortly
//! before a packet is due and poll for the rest; they run at real-time priority where the system
//! permits it, so that a busy machine does not distort the line. How late they were stands in the
//! counters: a measurement with a late forwarder is no measurement. Only IPv4 is carried.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tun_rs::SyncDevice;

use crate::LabError;
use crate::link_model::{DropReason, Line, LineModel, Verdict};

/// The largest packet a device hands over (the devices' MTU is 1,500).
const PACKET_BYTES: usize = 2048;
/// How long before a packet is due a thread stops sleeping and polls.
const SPIN: Duration = Duration::from_micros(20);
/// How soon a thread without packets notices that it should stop.
const IDLE_WAKE: Duration = Duration::from_millis(50);
/// Packets in flight from one host; more are dropped as a full queue.
const MOST_PENDING: usize = 100_000;
/// Packets read in a row before due ones are looked at again.
const READ_BATCH: usize = 32;

/// What passed from one host to another. Bytes are those of whole IP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PairStats {
    /// Packets handed to the receiver.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lost because the line was cut.
    pub cut: u64,
    /// Lost at the queue's tail.
    pub queue_full: u64,
    /// Lost by independent chance.
    pub random_loss: u64,
    /// Lost by the burst chain.
    pub burst_loss: u64,
    /// Sent to an address that no host has (counted with the sender as receiver).
    pub no_route: u64,
    /// The worst delay of a packet beyond what the line asked for: the emulator's own error.
    pub worst_lateness: Duration,
}

/// A host's place on the forwarder.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) address: Ipv4Addr,
    pub(crate) device: Device,
}

/// A TUN device; a type of our own because the library's is not `Debug`.
pub(crate) struct Device(pub(crate) SyncDevice);

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device")
    }
}

/// The running forwarder; its threads end when it is dropped.
#[derive(Debug)]
pub(crate) struct Forwarder {
    board: Arc<Board>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads share.
#[derive(Debug)]
struct Board {
    ports: Vec<Port>,
    /// Whether a multicast or broadcast packet goes to everybody, as on one LAN.
    multicast: bool,
    /// One line for each ordered pair, at `from * ports + to`.
    lines: Mutex<Vec<Line>>,
    /// Rises with each change of `lines`.
    generation: AtomicU64,
    counters: Vec<Mutex<PairStats>>,
    stop: AtomicBool,
    started: Instant,
}

impl Forwarder {
    /// Starts one thread for each port. `seed` decides every loss and every jitter.
    pub(crate) fn start(
        ports: Vec<Port>,
        line: Line,
        multicast: bool,
        seed: u64,
    ) -> Result<Self, LabError> {
        let pairs = ports.len() * ports.len();
        let board = Arc::new(Board {
            ports,
            multicast,
            lines: Mutex::new(vec![line; pairs]),
            generation: AtomicU64::new(0),
            counters: (0..pairs).map(|_| Mutex::default()).collect(),
            stop: AtomicBool::new(false),
            started: Instant::now(),
        });
        let mut forwarder = Self {
            threads: Vec::new(),
            board,
        };
        for from in 0..forwarder.board.ports.len() {
            let worker = Worker::new(Arc::clone(&forwarder.board), from, seed);
            let thread = thread::Builder::new()
                .name(format!("lab-link-{from}"))
                .spawn(move || worker.run())
                .map_err(|source| LabError::Os {
                    what: "cannot start a forwarder thread",
                    source,
                })?;
            forwarder.threads.push(thread);
        }
        Ok(forwarder)
    }

    /// Changes the line of one direction from now on.
    pub(crate) fn set(&self, from: usize, to: usize, change: impl FnOnce(&mut Line)) {
        change(&mut self.board.lock_lines()[from * self.board.ports.len() + to]);
        self.board.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn stats(&self, from: usize, to: usize) -> PairStats {
        *self.board.lock_counters(from, to)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.board.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A panic in a forwarder shows as a failed test; it must not become a second panic here.
            let _ = thread.join();
        }
    }
}

impl Board {
    fn lock_lines(&self) -> std::sync::MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_counters(&self, from: usize, to: usize) -> std::sync::MutexGuard<'_, PairStats> {
        self.counters[from * self.ports.len() + to]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A packet on its way. Ordered by the time it is due, then by its number.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    due: Duration,
    number: u64,
    to: usize,
    packet: Vec<u8>,
}

/// The thread that reads what one host sends.
struct Worker {
    board: Arc<Board>,
    from: usize,
    models: Vec<LineModel>,
    generation: u64,
    pending: BinaryHeap<Reverse<Pending>>,
    next_number: u64,
}

impl Worker {
    fn new(board: Arc<Board>, from: usize, seed: u64) -> Self {
        let hosts = board.ports.len();
        let models = board.lock_lines()[from * hosts..(from + 1) * hosts]
            .iter()
            .enumerate()
            .map(|(to, line)| LineModel::new(*line, pair_seed(seed, from, to)))
            .collect();
        Self {
            board,
            from,
            models,
            generation: 0,
            pending: BinaryHeap::new(),
            next_number: 0,
        }
    }

    fn run(mut self) {
        ask_for_priority();
        let mut buffer = [0; PACKET_BYTES];
        while !self.board.stop.load(Ordering::Acquire) {
            self.read_some(&mut buffer);
            self.deliver_due();
            self.wait();
        }
    }

    /// Takes what the host has sent, up to a batch.
    fn read_some(&mut self, buffer: &mut [u8; PACKET_BYTES]) {
        let board = Arc::clone(&self.board);
        for _ in 0..READ_BATCH {
            // Nothing to read, or an error of the device: `wait` comes back here either way.
            let Ok(length) = board.ports[self.from].device.0.recv(buffer) else {
                return;
            };
            self.take_new_lines();
            self.accept(&buffer[..length]);
        }
    }

    fn take_new_lines(&mut self) {
        let generation = self.board.generation.load(Ordering::Acquire);
        if generation == self.generation {
            return;
        }
        self.generation = generation;
        let hosts = self.models.len();
        let lines = self.board.lock_lines();
        for (to, model) in self.models.iter_mut().enumerate() {
            model.set(lines[self.from * hosts + to]);
        }
    }

    /// Looks at a packet's address and sends it into the right line, or all of them.
    fn accept(&mut self, packet: &[u8]) {
        let Some(destination) = destination_v4(packet) else {
            return self.count_drop(self.from, DropReason::NoRoute);
        };
        if self.board.multicast && reaches_everybody(destination) {
            let from = self.from;
            for to in (0..self.models.len()).filter(|to| *to != from) {
                self.offer(to, packet);
            }
            return;
        }
        let port = self
            .board
            .ports
            .iter()
            .position(|p| p.address == destination);
        match port {
            Some(to) if to != self.from => self.offer(to, packet),
            _ => self.count_drop(self.from, DropReason::NoRoute),
        }
    }

    fn offer(&mut self, to: usize, packet: &[u8]) {
        if self.pending.len() >= MOST_PENDING {
            return self.count_drop(to, DropReason::QueueFull);
        }
        match self.models[to].offer(self.board.now(), packet.len()) {
            Verdict::Drop(reason) => self.count_drop(to, reason),
            Verdict::Deliver(due) => {
                self.next_number += 1;
                self.pending.push(Reverse(Pending {
                    due,
                    number: self.next_number,
                    to,
                    packet: packet.to_vec(),
                }));
            }
        }
    }

    fn count_drop(&self, to: usize, reason: DropReason) {
        let mut counters = self.board.lock_counters(self.from, to);
        match reason {
            DropReason::Cut => counters.cut += 1,
            DropReason::QueueFull => counters.queue_full += 1,
            DropReason::RandomLoss => counters.random_loss += 1,
            DropReason::BurstLoss => counters.burst_loss += 1,
            DropReason::NoRoute => counters.no_route += 1,
        }
    }

    fn deliver_due(&mut self) {
        let now = self.board.now();
        while let Some(Reverse(first)) = self.pending.peek() {
            if first.due > now {
                return;
            }
            let Some(Reverse(pending)) = self.pending.pop() else {
                return;
            };
            self.deliver(&pending, now);
        }
    }

    fn deliver(&self, pending: &Pending, now: Duration) {
        let written = self.board.ports[pending.to].device.0.send(&pending.packet);
        let mut counters = self.board.lock_counters(self.from, pending.to);
        if written.is_err() {
            // The receiver's device is going down; to the sender it is a line that was cut.
            counters.cut += 1;
            return;
        }
        counters.packets += 1;
        counters.bytes += pending.packet.len() as u64;
        counters.worst_lateness = counters.worst_lateness.max(now.saturating_sub(pending.due));
    }

    /// Sleeps until the host sends something or shortly before the next packet is due.
    fn wait(&self) {
        let now = self.board.now();
        let sleep = match self.pending.peek() {
            None => IDLE_WAKE,
            Some(Reverse(next)) => next.due.saturating_sub(now + SPIN).min(IDLE_WAKE),
        };
        if sleep.is_zero() {
            return std::hint::spin_loop();
        }
        let device = self.board.ports[self.from].device.0.as_fd();
        // An interrupted or failed wait only means an early look.
        let _ = ppoll(
            &mut [PollFd::new(device, PollFlags::POLLIN)],
            Some(TimeSpec::from_duration(sleep)),
            None,
        );
    }
}

/// Real-time priority if permitted, and exact timers; an ordinary thread otherwise.
fn ask_for_priority() {
    // Refused without privilege: the forwarder then is a little less exact, and its counters say so.
    let _ = set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Min,
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    );
    let _ = nix::sys::prctl::set_timerslack(1);
}

/// Each direction of each pair has its own sequence of chances.
fn pair_seed(seed: u64, from: usize, to: usize) -> u64 {
    seed ^ ((from as u64 + 1) << 48) ^ ((to as u64 + 1) << 56)
}

/// The destination of an IPv4 packet (RFC 791); `None` for anything else.
fn destination_v4(packet: &[u8]) -> Option<Ipv4Addr> {
    let version = packet.first()? >> 4;
    let bytes: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (version == 4).then(|| Ipv4Addr::from(bytes))
}

fn reaches_everybody(address: Ipv4Addr) -> bool {
    address.is_multicast() || address.is_broadcast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_ipv4_header_has_a_destination() {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[16..20].copy_from_slice(&[198, 18, 0, 2]);
        assert_eq!(destination_v4(&packet), Some(Ipv4Addr::new(198, 18, 0, 2)));
        assert_eq!(destination_v4(&packet[..19]), None);
        assert_eq!(destination_v4(&[]), None);
        packet[0] = 0x60;
        assert_eq!(destination_v4(&packet), None);
    }

    #[test]
    fn directions_do_not_share_their_chances() {
        let seeds = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]
            .map(|(from, to)| pair_seed(42, from, to));
        for (i, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..i].contains(seed));
        }
    }
}
