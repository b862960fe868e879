//! Somebody who has a name, or reads one, looks whether everybody is shown the same log: what several supernodes say of it is
//! compared, at the height that all of them have.

use std::collections::BTreeMap;

use starling_wire::ids::{AccountId, EndpointKey, NetworkId};
use starling_wire::name_log::{Equivocation, SignedEntry, Statement};
use starling_wire::record::registrar::Registrar;

use crate::machine::Outputs;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskAt {
    /// Whom.
    pub whom: EndpointKey,
    /// What its log says at this height.
    pub height: u64,
}

/// One comparison.
#[derive(Debug)]
pub struct Watch {
    network: NetworkId,
    /// Of the latest registrar that was heard of.
    epoch: u64,
    heads: BTreeMap<EndpointKey, Statement>,
    alarm: Option<Equivocation>,
    asks: Outputs<AskAt>,
}

impl Watch {
    /// In that network.
    pub fn new(network: NetworkId) -> Self {
        Self {
            network,
            epoch: 0,
            heads: BTreeMap::new(),
            alarm: None,
            asks: Outputs::default(),
        }
    }

    /// A supernode says who the registrar is. `WATCH-04`: what was proved against an earlier one is over.
    pub fn handle_office(&mut self, office: &Registrar) {
        if office.is_appointed_in(self.network) {
            self.epoch = self.epoch.max(office.epoch);
        }
    }

    /// A supernode says how far its copy goes. Whoever was there before with more or less is asked about the height that both
    /// have.
    pub fn handle_head(&mut self, from: EndpointKey, head: Statement) {
        self.asks.assert_drained();
        // WATCH-01: what no registrar signed proves nothing, for nor against anybody.
        if head.verify(self.network).is_err() {
            return;
        }
        self.epoch = self.epoch.max(head.registrar.epoch);
        for (other, theirs) in &self.heads {
            let (long, short) = if head.position.height > theirs.position.height {
                (from, theirs)
            } else {
                (*other, &head)
            };
            if head.position.height == theirs.position.height {
                self.alarm = self.alarm.take().or_else(|| head.against(theirs));
            } else if *other != from {
                self.asks.push(AskAt {
                    whom: long,
                    height: short.position.height,
                });
            }
        }
        self.heads.insert(from, head);
    }

    /// What a supernode's copy says at a height that it was asked about.
    pub fn handle_at(&mut self, said: &Statement) {
        self.asks.assert_drained();
        if said.verify(self.network).is_err() {
            return;
        }
        // WATCH-02: two of one height that differ.
        let proof = self.heads.values().find_map(|head| head.against(said));
        self.alarm = self.alarm.take().or(proof);
    }

    /// A supernode has the proof already.
    pub fn handle_proof(&mut self, proof: Equivocation) {
        if proof.verify(self.network).is_ok() {
            self.alarm = self.alarm.take().or(Some(proof));
        }
    }

    /// What is asked.
    pub fn poll_ask(&mut self) -> Option<AskAt> {
        self.asks.pop()
    }

    /// The proof against the registrar, if there is one.
    pub fn alarm(&self) -> Option<&Equivocation> {
        let counts = |proof: &&Equivocation| proof.epoch() >= self.epoch;
        self.alarm.as_ref().filter(counts)
    }
}

/// `WATCH-03`: whether the log's last entry about our own name still says that it is ours at `at`, Unix seconds.
pub fn is_ours(last: &SignedEntry, own: AccountId, at: u64) -> bool {
    last.entry.account == Some(own) && last.entry.until > at
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use starling_wire::name::Name;
    use starling_wire::name_log::{Entry, Position};
    use starling_wire::record::registrar::Since;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn network() -> NetworkId {
        NetworkId(key(1).verifying_key().to_bytes())
    }

    fn registrar() -> Registrar {
        let public = key(2).verifying_key().to_bytes();
        Registrar::appoint(&key(1), AccountId([9; 32]), public, 2_000_000_000)
    }

    fn said(height: u64, hash: u8) -> Statement {
        Statement {
            registrar: registrar(),
            position: Position::sign(&registrar(), (height, [hash; 32]), 5, &key(2)),
        }
    }

    const HOMES: [EndpointKey; 3] = [
        EndpointKey([1; 32]),
        EndpointKey([2; 32]),
        EndpointKey([3; 32]),
    ];

    #[test]
    fn watch_01_what_no_registrar_signed_alarms_nobody() {
        let mut watch = Watch::new(network());
        let mut forged = said(5, 1);
        forged.position.hash = [2; 32];
        watch.handle_head(HOMES[0], said(5, 1));
        watch.handle_head(HOMES[1], forged.clone());
        watch.handle_at(&forged);
        assert_eq!(watch.poll_ask(), None);
        assert_eq!(watch.alarm(), None);
    }

    #[test]
    fn watch_02_whoever_has_more_is_asked_about_what_both_have() {
        let mut watch = Watch::new(network());
        watch.handle_head(HOMES[0], said(5, 1));
        watch.handle_head(HOMES[1], said(9, 7));
        let ask = watch.poll_ask().unwrap();
        assert_eq!((ask.whom, ask.height), (HOMES[1], 5));
        watch.handle_at(&said(5, 1));
        assert_eq!(watch.alarm(), None);
        watch.handle_at(&said(5, 2));
        assert_eq!(watch.alarm().unwrap().verify(network()), Ok(()));
    }

    #[test]
    fn watch_02_two_heads_of_one_height_are_a_proof() {
        let mut watch = Watch::new(network());
        watch.handle_head(HOMES[0], said(5, 1));
        watch.handle_head(HOMES[1], said(5, 1));
        assert_eq!(watch.alarm(), None);
        watch.handle_head(HOMES[2], said(5, 2));
        assert!(watch.alarm().is_some());
        let mut told = Watch::new(network());
        let proof = watch.alarm().unwrap().clone();
        told.handle_proof(Equivocation {
            one: proof.one.clone(),
            other: proof.one.clone(),
        });
        assert_eq!(told.alarm(), None);
        told.handle_proof(proof);
        assert!(told.alarm().is_some());
    }

    #[test]
    fn watch_04_with_a_new_registrar_the_alarm_is_over() {
        let mut watch = Watch::new(network());
        watch.handle_head(HOMES[0], said(5, 1));
        watch.handle_head(HOMES[1], said(5, 2));
        assert!(watch.alarm().is_some());
        let next = |owner| registrar().taking_over(&key(owner), 2, Since::default());
        watch.handle_office(&next(3));
        assert!(watch.alarm().is_some(), "a stranger appoints nobody");
        watch.handle_office(&next(1));
        assert_eq!(watch.alarm(), None);
    }

    #[test]
    fn watch_03_a_name_that_the_log_gives_to_somebody_else_is_not_ours() {
        let own = AccountId([4; 32]);
        let entry = |account| Entry {
            height: 1,
            before: [0; 32],
            at: 5,
            name: Name::typed("alice").unwrap(),
            account,
            until: 100,
            listing: None,
        };
        let signed = |account| entry(account).sign(&registrar(), &key(2));
        assert!(is_ours(&signed(Some(own)), own, 99));
        assert!(!is_ours(&signed(Some(own)), own, 100));
        assert!(!is_ours(&signed(Some(AccountId([5; 32]))), own, 9));
        assert!(!is_ours(&signed(None), own, 9));
    }
}
