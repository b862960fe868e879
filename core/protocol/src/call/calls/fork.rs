//! One invitation to all devices of a person (forking, RFC 3261, 16.6): each stream that opens is a branch and hears the
//! invitation; the first that answers has the call.

use std::collections::BTreeMap;

use starling_wire::call::{CallFrame, EndReason};
use starling_wire::ids::DeviceId;
use starling_wire::peer::InnerAddr;

use super::LinkId;

/// The branches of a call that nobody has answered yet.
#[derive(Debug)]
pub struct Fork {
    invitation: Option<CallFrame>,
    branches: BTreeMap<LinkId, Branch>,
    /// Whether there are devices that may still be reached.
    dialling: bool,
    /// Whose inner endpoint the sound is being connected to meanwhile.
    prepared: Option<LinkId>,
    /// What the branches that are over said; of several the one that tells the caller most.
    outcome: Option<EndReason>,
}

#[derive(Debug)]
struct Branch {
    device: DeviceId,
    inner: Option<InnerAddr>,
}

/// Who has the call.
#[derive(Debug, PartialEq, Eq)]
pub struct Winner {
    /// The device that answered.
    pub device: DeviceId,
    /// Where its sound comes from, if the sound has to go there and not to where it was being connected.
    pub inner: Option<InnerAddr>,
    /// The other branches.
    pub others: Vec<LinkId>,
}

impl Fork {
    /// Nobody was invited.
    pub const fn new() -> Self {
        Self {
            invitation: None,
            branches: BTreeMap::new(),
            dialling: true,
            prepared: None,
            outcome: None,
        }
    }

    /// What every branch hears first.
    pub fn set_invitation(&mut self, frame: CallFrame) {
        self.invitation = Some(frame);
    }

    /// A stream to a device is open: what it hears, with where our sound comes from by now.
    pub fn open(
        &mut self,
        link: LinkId,
        device: DeviceId,
        ours: Option<&InnerAddr>,
    ) -> Option<CallFrame> {
        let mut invitation = self.invitation.clone()?;
        if let CallFrame::Invite { inner, .. } = &mut invitation {
            *inner = ours.cloned();
        }
        let branch = Branch {
            device,
            inner: None,
        };
        self.branches.insert(link, branch);
        Some(invitation)
    }

    /// All devices have been tried.
    pub const fn all_dialled(&mut self) {
        self.dialling = false;
    }

    /// The streams.
    pub fn links(&self) -> Vec<LinkId> {
        self.branches.keys().copied().collect()
    }

    /// The device at the other end.
    pub fn device(&self, link: LinkId) -> Option<DeviceId> {
        self.branches.get(&link).map(|branch| branch.device)
    }

    /// Where a branch's sound comes from. Returned if that is where ours is to be connected: one place at a time.
    pub fn found(&mut self, link: LinkId, inner: Option<InnerAddr>) -> Option<InnerAddr> {
        let branch = self.branches.get_mut(&link)?;
        let inner = inner?;
        branch.inner = Some(inner.clone());
        (*self.prepared.get_or_insert(link) == link).then_some(inner)
    }

    /// `CALL-23`: a branch answered. No other one can from now on.
    pub fn answered(&mut self, link: LinkId) -> Option<Winner> {
        let branch = self.branches.remove(&link)?;
        let others = self.end_all();
        self.dialling = false;
        let inner = branch.inner.filter(|_| self.prepared != Some(link));
        Some(Winner {
            device: branch.device,
            inner,
            others,
        })
    }

    /// A branch is over, without a word or with one.
    pub fn ended(&mut self, link: LinkId, reason: Option<EndReason>) {
        self.branches.remove(&link);
        if self.prepared == Some(link) {
            self.prepared = None;
        }
        self.outcome = match (self.outcome, reason) {
            (Some(before), Some(now)) if weight(now) > weight(before) => Some(now),
            (before, now) => before.or(now),
        };
    }

    /// All branches are over at once.
    pub fn end_all(&mut self) -> Vec<LinkId> {
        let all = self.links();
        self.branches.clear();
        all
    }

    /// Whether nobody is left who could answer, and what there is to say about it.
    pub fn is_over(&self) -> Option<EndReason> {
        let over = self.branches.is_empty() && !self.dialling;
        over.then(|| self.outcome.unwrap_or(EndReason::Unreachable))
    }

    /// Where another branch's sound comes from, when the one to which ours was being connected is over.
    pub fn prepare_another(&mut self) -> Option<InnerAddr> {
        if self.prepared.is_some() {
            return None;
        }
        let mut branches = self.branches.iter();
        let (link, inner) =
            branches.find_map(|(link, branch)| Some((*link, branch.inner.clone()?)))?;
        self.prepared = Some(link);
        Some(inner)
    }
}

/// "They are busy" says more than "nobody answered", and that more than "one device was not reached".
const fn weight(reason: EndReason) -> u8 {
    match reason {
        EndReason::Busy => 3,
        EndReason::NoAnswer => 2,
        EndReason::Unreachable | EndReason::Lost => 0,
        _ => 1,
    }
}
