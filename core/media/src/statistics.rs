//! What is told about one direction of a call (after RFC 3550 section 6.4.1). Counts since the beginning, times in
//! milliseconds.

/// The state of a [`crate::Playout`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Statistics {
    /// Packets of the stream, each counted once, late ones too.
    pub received: u64,
    /// Packets that the sequence numbers promise.
    pub expected: u64,
    /// Packets that did not come (yet).
    pub lost: u64,
    /// Packets that came after their frame had been played without them.
    pub late: u64,
    /// Packets that came again.
    pub duplicated: u64,
    /// Datagrams that are no packets.
    pub malformed: u64,
    /// Packets of another stream, or with numbers far from the stream's.
    pub foreign: u64,
    /// Packets that came in time and were given up: nobody played for seconds, or the delay had grown too far.
    pub discarded: u64,
    /// Frames that were played from a later packet that repeated them.
    pub repeated: u64,
    /// Missing frames that were asked of a later packet's redundancy.
    pub recovered: u64,
    /// Frames that were concealed, also those that only made time for the delay to grow.
    pub concealed: u64,
    /// Frames that were inserted so that the delay grows to its target; part of `concealed`.
    pub stretched: u64,
    /// Frames that were shortened with the one before so that the delay shrinks to its target.
    pub shortened: u64,
    /// Frames that were lengthened so that the delay grows to its target.
    pub lengthened: u64,
    /// Interarrival jitter.
    pub jitter_ms: f64,
    /// Sound that waits: from the play head to the newest packet.
    pub depth_ms: u32,
    /// How long after the fastest packet's time frames are played; 0 when nothing is played.
    pub delay_ms: u32,
    /// What `delay_ms` should be.
    pub target_ms: u32,
}
