//! What happens when: events by time, and by their making where times are equal.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Future events.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    made: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Duration,
    number: u64,
    event: E,
}

impl<E> Queue<E> {
    /// Nothing happens.
    pub const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            made: 0,
        }
    }

    /// `event` happens at `at`.
    pub fn add(&mut self, at: Duration, event: E) {
        self.made += 1;
        let number = self.made;
        self.heap.push(Reverse(Entry { at, number, event }));
    }

    /// The next event, if it happens by `end`.
    pub fn next_by(&mut self, end: Duration) -> Option<(Duration, E)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        self.heap
            .pop()
            .map(|Reverse(Entry { at, event, .. })| (at, event))
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Entry<E> {
    const fn order(&self) -> (Duration, u64) {
        (self.at, self.number)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}
