//! Who are these? Members that the engine tells of and nobody has described yet.

use starling_wire::ids::EndpointKey;

use super::{ASK_AGAIN, DESCRIBED_MAX, Description, Membership, Message, Task};
use crate::machine::Time;

impl<D: Description> Membership<D> {
    /// MEMBER-07: nobody without a description of his own. It is asked for where the news came from, all in one question.
    pub(super) fn ask_who(
        &mut self,
        unheard: &[EndpointKey],
        from: Option<EndpointKey>,
        now: Time,
    ) {
        for keys in unheard.chunks(DESCRIBED_MAX) {
            for key in keys {
                let of = from.unwrap_or(*key);
                self.plan(*key, now + ASK_AGAIN, Task::Ask { of, times: 1 });
                if from.is_none() {
                    self.transmits.push((of, Message::Describe(vec![*key])));
                }
            }
            if let Some(of) = from {
                self.transmits.push((of, Message::Describe(keys.to_vec())));
            }
        }
    }

    /// The next member after `of`, but not the one in question.
    pub(super) fn another(&self, key: EndpointKey, of: EndpointKey) -> EndpointKey {
        let joined = || {
            let members = self.known.iter().filter(|(_, known)| known.joined);
            members.map(|(member, _)| *member).filter(|m| *m != key)
        };
        joined()
            .find(|member| *member > of)
            .or_else(|| joined().next())
            .unwrap_or(of)
    }
}
