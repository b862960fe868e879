//! How full the network is, by what a few say.

use starling_wire::ids::EndpointKey;

use super::{ASKED_FOR_LOAD, Description, LOAD_COUNTS, Membership, Message};
use crate::machine::Time;

impl<D: Description> Membership<D> {
    /// How full this supernode is, in percent.
    pub const fn handle_own_load(&mut self, percent: u8) {
        self.own_load = percent;
    }

    /// Asks some, by chance, how full they are.
    pub fn handle_load_wanted(&mut self) {
        self.assert_drained();
        let joined: Vec<EndpointKey> = self.members().map(D::id).collect();
        let count = u32::try_from(joined.len()).unwrap_or(u32::MAX);
        for _ in 0..ASKED_FOR_LOAD.min(count) {
            if let Some(member) = joined.get(self.chance.below(count) as usize) {
                self.transmits.push((*member, Message::Ping));
            }
        }
    }

    /// How full others are, by what some of them said lately; `None` when nobody has.
    pub fn others_load(&self, now: Time) -> Option<u8> {
        let recent = self.loads.iter().filter(|(at, _)| *at + LOAD_COUNTS > now);
        let (count, sum) = recent.fold((0_u32, 0_u32), |(count, sum), (_, load)| {
            (count + 1, sum + u32::from(*load))
        });
        u8::try_from(sum.checked_div(count)?).ok()
    }
}
