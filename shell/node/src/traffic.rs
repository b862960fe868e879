//! Bytes sent and received, by purpose: what `status` shows under "bytes and why".

use std::sync::atomic::{AtomicU64, Ordering};

use starling_control::view;

/// What bytes were for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Voice.
    Calls,
    /// Messages and receipts.
    Chat,
    /// Files.
    Files,
}

/// Counters since the node started.
#[derive(Debug, Default)]
pub struct Traffic {
    counters: [[AtomicU64; 2]; 3],
}

impl Traffic {
    /// Counts bytes sent.
    pub fn sent(&self, purpose: Purpose, bytes: u64) {
        self.counters[purpose as usize][0].fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes received.
    pub fn received(&self, purpose: Purpose, bytes: u64) {
        self.counters[purpose as usize][1].fetch_add(bytes, Ordering::Relaxed);
    }

    /// For `status`.
    pub fn view(&self) -> Vec<view::Traffic> {
        let names = ["own: calls", "own: chat", "own: files"];
        names
            .iter()
            .zip(&self.counters)
            .map(|(name, [sent, received])| view::Traffic {
                purpose: (*name).to_owned(),
                sent: sent.load(Ordering::Relaxed),
                received: received.load(Ordering::Relaxed),
                cap_kbit_s: None,
            })
            .collect()
    }
}
