//! Whether a name is whose it seems: the certificate from the index, the registrar's appointment, the last entry of the log, and
//! whether several supernodes show the same log.

use starling_control::{ErrorKind, Failure, view};
use starling_protocol::names::watch::Watch;
use starling_store::name_log::{self, Whose};
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::name::Name;
use starling_wire::name_log::{Equivocation, Statement};
use starling_wire::name_query::{FOUND_MAX, Found, NameQuestion, NameReply, SEARCH_MAX};
use starling_wire::placement::IndexKey;
use starling_wire::record::{NameRecord, SignedRecord, Verified};
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tracing::info;

use super::super::name_asking::{self, Heard};
use super::{Names, typed};
use crate::clock::wall_s;
use crate::transport::requests::RequestError;

impl Names {
    /// Whose a name is, by a certificate that was verified; nobody's while its registrar is known to contradict itself.
    pub async fn resolve(&self, text: &str) -> Result<AccountId, Failure> {
        let (name, network) = (typed(text)?, self.network()?);
        let heads = name_asking::heads(&self.ctx, &name_asking::supernodes(&self.ctx)).await;
        self.note_heads(network, &heads).await;
        if self.proof().is_some() {
            let sentence = "the registrar of names told different people different things, so no name is trusted: add this person by \
                their link (`starling name verify` shows the proof)";
            return Err(Failure::new(ErrorKind::Refused, sentence));
        }
        let record = self.certificate(&name).await?;
        record
            .and_then(|record| record.record().account)
            .ok_or_else(|| nobody(&name))
    }

    /// What is known of a name, and how it was checked.
    pub async fn verify(&self, text: &str) -> Result<view::NameCheck, Failure> {
        let (name, network) = (typed(text)?, self.network()?);
        let record = self
            .certificate(&name)
            .await?
            .ok_or_else(|| nobody(&name))?;
        let heads = name_asking::heads(&self.ctx, &name_asking::supernodes(&self.ctx)).await;
        self.note_heads(network, &heads).await;
        let mut findings = Vec::new();
        for (supernode, head) in &heads {
            // One whose copy does not go so far yet says nothing of it.
            let height = head.head.as_ref().map_or(0, |head| head.position.height);
            if height < record.record().sequence {
                continue;
            }
            findings.extend(self.entry_at(supernode, &name, record.record()).await);
        }
        let proof = self.proof();
        let certificate = record.record();
        Ok(view::NameCheck {
            name: name.as_str().to_owned(),
            account: certificate.account.map(|account| account.to_string()),
            until_s: certificate.expires,
            entry: certificate.sequence,
            epoch: certificate.registrar.epoch,
            registrar: certificate.registrar.account.to_string(),
            compared: heads.iter().map(|(from, _)| from.tcp.to_string()).collect(),
            verified: findings.is_empty() && proof.is_none() && !heads.is_empty(),
            evidence: proof.map(|proof| [shown(&proof.one), shown(&proof.other)]),
            findings,
        })
    }

    /// Searches at the home supernode.
    pub async fn search(&self, text: &str) -> Result<Vec<view::FoundName>, Failure> {
        let network = self.network()?;
        if text.len() > SEARCH_MAX {
            let sentence = format!("what is searched for has at most {SEARCH_MAX} bytes");
            return Err(Failure::new(ErrorKind::Usage, sentence));
        }
        if text.chars().filter(|c| c.is_alphanumeric()).count() < 2 {
            let sentence = "give at least two letters or digits to search for";
            return Err(Failure::new(ErrorKind::Usage, sentence));
        }
        let mut last = "no supernode is known".to_owned();
        for supernode in self.ctx.home_list() {
            let question = NameQuestion::Search(text.to_owned());
            match name_asking::ask(&self.ctx, &supernode, question).await {
                Ok(NameReply::Found(found)) => return Ok(seen(&found, network)),
                Ok(_) => return Ok(Vec::new()),
                Err(RequestError::Refused(refusal)) => {
                    return Err(Failure::new(ErrorKind::Refused, refusal.to_string()));
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(Failure::new(ErrorKind::Unreachable, last))
    }

    /// The newest certificate that the supernodes find.
    async fn certificate(&self, name: &Name) -> Result<Option<Verified<NameRecord>>, Failure> {
        let network = self.network()?;
        let request = Request::Find(IndexKey::name(network, name.as_str()));
        let (mut newest, mut answered): (Option<Verified<NameRecord>>, bool) = (None, false);
        for supernode in self.ctx.home_list() {
            let Ok(Answer::Found(found)) = self.ctx.supernodes.ask(&supernode, &request).await
            else {
                continue;
            };
            answered = true;
            let Some(SignedRecord::Name(signed)) = found.map(|found| *found) else {
                continue;
            };
            let Ok(record) = signed.verify_in(Some(network), wall_s()) else {
                continue;
            };
            let order = |one: &Verified<NameRecord>| {
                let record = one.record();
                (record.registrar.epoch, record.sequence)
            };
            let newer = newest
                .as_ref()
                .is_none_or(|known| order(&record) > order(known));
            if record.record().name == *name && newer {
                newest = Some(record);
            }
        }
        if !answered {
            let sentence = "no supernode answers; try again later";
            return Err(Failure::new(ErrorKind::Unreachable, sentence));
        }
        Ok(newest)
    }

    /// What a supernode's copy says otherwise than the certificate, in words.
    async fn entry_at(
        &self,
        at: &SupernodeAddr,
        name: &Name,
        record: &NameRecord,
    ) -> Option<String> {
        let question = NameQuestion::Last(name.clone());
        let reply = name_asking::ask(&self.ctx, at, question).await;
        let Ok(NameReply::Found(found)) = reply else {
            return None;
        };
        let network = record.registrar.network;
        let about = found.first().filter(|one| one.entry.entry.name == *name);
        let last = about.filter(|one| one.verify(network).is_ok());
        match last.map(|one| &one.entry.entry) {
            None => Some(format!(
                "the copy of the log at {} has no entry about it",
                at.tcp
            )),
            Some(entry) if entry.account != record.account => Some(format!(
                "entry {} of the log, as {} has it, gives it to somebody else",
                entry.height, at.tcp
            )),
            Some(_) => None,
        }
    }

    fn proof(&self) -> Option<Equivocation> {
        let alarms = self
            .alarms
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        alarms.proof.clone()
    }

    /// `WATCH-01`, `WATCH-02`, `WATCH-04`: whether all show the same log. A proof is kept over a restart.
    pub(super) async fn note_heads(&self, network: NetworkId, heads: &[Heard]) {
        let mut watch = Watch::new(network);
        if let Some(proof) = self.proof() {
            watch.handle_proof(proof);
        }
        for (from, head) in heads {
            if let Some(office) = &head.office {
                watch.handle_office(office);
            }
            if let Some(proof) = &head.proof {
                watch.handle_proof(proof.clone());
            }
            if let Some(head) = &head.head {
                watch.handle_head(from.id, head.clone());
            }
            let asks: Vec<_> = std::iter::from_fn(|| watch.poll_ask()).collect();
            for ask in asks {
                let at = heads.iter().find(|(one, _)| one.id == ask.whom);
                let Some((at, _)) = at else { continue };
                let question = NameQuestion::At(ask.height);
                if let Ok(NameReply::At(Some(said))) =
                    name_asking::ask(&self.ctx, at, question).await
                {
                    watch.handle_at(&said);
                }
            }
        }
        self.note_proof(watch.alarm().cloned()).await;
    }

    async fn note_proof(&self, proof: Option<Equivocation>) {
        let changed = {
            let mut alarms = self
                .alarms
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let changed = alarms.proof != proof;
            alarms.proof.clone_from(&proof);
            changed
        };
        if !changed {
            return;
        }
        info!(alarm = proof.is_some(), "the name log was compared");
        let kept = self.ctx.db.write(move |tx| match &proof {
            Some(proof) => name_log::prove(tx, Whose::Seen, proof),
            None => name_log::forget_proof(tx, Whose::Seen),
        });
        if let Err(error) = kept.await {
            tracing::debug!(%error, "the proof could not be kept");
        }
        self.tell_alarm();
    }
}

fn nobody(name: &Name) -> Failure {
    let sentence = format!("nobody in this network has the name \"{}\"", name.as_str());
    Failure::new(ErrorKind::NotFound, sentence)
}

/// What was signed, for people who want to check it themselves.
fn shown(said: &Statement) -> view::Statement {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    view::Statement {
        epoch: said.registrar.epoch,
        key: hex(&said.registrar.key),
        height: said.position.height,
        hash: hex(&said.position.hash),
        at_s: said.position.at,
        signature: hex(&[said.position.signature.0, said.position.signature.1].concat()),
    }
}

/// Entries that a registrar of the network signed, as clients see them.
fn seen(found: &[Found], network: NetworkId) -> Vec<view::FoundName> {
    let now = wall_s();
    let valid = found.iter().take(FOUND_MAX);
    let valid = valid.filter(|one| one.verify(network).is_ok() && one.entry.entry.until > now);
    valid.filter_map(found_view).collect()
}

fn found_view(found: &Found) -> Option<view::FoundName> {
    let entry = &found.entry.entry;
    Some(view::FoundName {
        name: entry.name.as_str().to_owned(),
        display_name: entry
            .listing
            .as_ref()
            .map(|listing| listing.as_str().to_owned()),
        account: entry.account?.to_string(),
    })
}
