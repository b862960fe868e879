//! One round of the registrar: the supernodes' copies are compared with its log, what it misses is fetched, claims are decided,
//! copies are brought up to date, and certificates into the index.
//!
//! Each part has its time. A supernode that is silent, or does not prove what it says, is left out for the rest of a round; the
//! others are asked meanwhile.

use std::time::Duration;

use futures_util::future::join_all;
use starling_protocol::names::attendance::Known;
use starling_protocol::names::registrar::{Registrar, Standing};
use starling_store::{StoreError, networks};
use starling_wire::ids::{EndpointKey, NetworkId};
use starling_wire::name_log::{Page, Statement};
use starling_wire::name_query::{NameHead, NameQuestion, NameReply};
use starling_wire::record::registrar::Registrar as Appointment;
use starling_wire::record::{NameRecord, Signed};
use starling_wire::supernode::{Request, SupernodeAddr};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::super::name_asking::{self, Heard};
use super::{NameOffice, OfficeError, keep, load, lock};

/// Whoever has not said by then how far its copy goes is silent.
const HEADS_TIME: Duration = Duration::from_secs(5);
/// After so long no more pages are fetched in this round.
const FETCH_TIME: Duration = Duration::from_secs(20);
/// So long one supernode is brought what it lacks; all of them are at once.
const BRING_TIME: Duration = Duration::from_secs(15);
/// Pages of 128 entries that one is brought in a round.
const PAGES_BROUGHT: usize = 100;
/// So long certificates are brought into the index; the rest waits for the next round.
const PUBLISH_TIME: Duration = Duration::from_secs(15);

impl NameOffice {
    /// Compares, catches up, decides, and tells. Whether there is nothing to hurry for.
    pub(super) async fn attempt(&self) -> Result<bool, OfficeError> {
        let Some(standing) = self.standing().await? else {
            return Ok(true);
        };
        let (heard, enough) = self.heads().await?;
        // NAMES-08: once it has heard enough, whoever is there suffices.
        if heard.is_empty() || !(enough || standing == Standing::Serving) {
            let heard = heard.len();
            debug!(heard, "too few supernodes answer the registrar");
            return Ok(false);
        }
        self.compare(&heard).await?;
        self.decide_all().await?;
        self.bring(heard).await;
        self.publish().await;
        // Whoever is told looks at once whether it is so.
        self.people.wake_post();
        let standing = self.standing().await?;
        Ok(standing != Some(Standing::Behind))
    }

    /// How it stands; `None` where this profile is no registrar, or is stopped.
    async fn standing(&self) -> Result<Option<Standing>, OfficeError> {
        let mut machine = self.machine.lock().await;
        if machine.is_none()
            && let Some(mut registrar) = load(&self.ctx).await?
        {
            keep(&self.ctx, &mut registrar).await?;
            *machine = Some(registrar);
        }
        Ok(machine.as_ref().map(Registrar::standing))
    }

    /// How far the copies go that prove it; and whether enough of them answered.
    pub(super) async fn heads(&self) -> Result<(Vec<Heard>, bool), StoreError> {
        let Some(network) = self.ctx.homes().network else {
            return Ok((Vec::new(), false));
        };
        let (known, places) = self.known().await?;
        let now = self.ctx.clock.now();
        let asked = lock(&self.attendance).whom(&known, now);
        let at = |id: &EndpointKey| places.iter().find(|one| one.id == *id).cloned();
        let supernodes: Vec<SupernodeAddr> = asked.iter().filter_map(at).collect();
        let mut heard = name_asking::heads_within(&self.ctx, &supernodes, HEADS_TIME).await;
        heard.retain(|(_, head)| name_asking::is_proved(head, network));
        let answered: Vec<EndpointKey> = heard.iter().map(|(from, _)| from.id).collect();
        let now = self.ctx.clock.now();
        let enough = lock(&self.attendance).handle_answers(&known, &asked, &answered, now);
        Ok((heard, enough))
    }

    /// All supernodes that are known, and which of them the network's owner names.
    async fn known(&self) -> Result<(Known<EndpointKey>, Vec<SupernodeAddr>), StoreError> {
        let homes = self.ctx.homes();
        let joined = self.ctx.db.read(networks::list).await?.into_iter().next();
        // A link is not the network's file: whoever wrote it named whom he liked.
        let joined = joined.filter(|joined| joined.file.is_some());
        let named = joined.map_or_else(Vec::new, |joined| joined.supernodes);
        let mut others = self.ctx.home_list();
        others.extend(homes.supernodes);
        let ids = |list: &[SupernodeAddr]| list.iter().map(|one| one.id).collect();
        let known = Known {
            named: ids(&named),
            others: ids(&others),
            own: homes.own.map(|own| own.id),
        };
        // Where one is at home now counts before what a file says.
        others.extend(named);
        Ok((known, others))
    }

    async fn compare(&self, heard: &[Heard]) -> Result<(), StoreError> {
        let offices = heard.iter().filter_map(|(_, head)| head.office.clone());
        for office in offices {
            self.tell(|registrar| registrar.handle_office(&office))
                .await?;
        }
        let proofs = heard.iter().filter_map(|(_, head)| head.proof.clone());
        let proofs = proofs.flat_map(|proof| [proof.one, proof.other]);
        let heads = heard.iter().filter_map(|(_, head)| head.head.clone());
        let heads: Vec<Statement> = heads.chain(proofs).collect();
        let mut sources = heard.to_vec();
        let until = Instant::now() + FETCH_TIME;
        while let Some(place) = self.hear(&heads).await? {
            if !self.fetch(&mut sources, place, until).await? {
                break;
            }
        }
        Ok(())
    }

    /// Where the log ends, if others have more.
    async fn hear(&self, heads: &[Statement]) -> Result<Option<(u64, NetworkId)>, StoreError> {
        let heard = self.tell(|registrar| {
            registrar.handle_heads(heads);
            let place = (registrar.height(), registrar.appointment().network);
            (registrar.standing() == Standing::Behind).then_some(place)
        });
        Ok(heard.await?.flatten())
    }

    /// The next entries that we miss, from the first that sends them: whoever does not is asked no more in this round.
    async fn fetch(
        &self,
        sources: &mut Vec<Heard>,
        (height, network): (u64, NetworkId),
        until: Instant,
    ) -> Result<bool, StoreError> {
        while let Some((from, head)) = sources.first()
            && Instant::now() < until
        {
            let has = head.head.as_ref().map_or(0, |head| head.position.height);
            if has > height && self.fetch_from(from, height, network).await? {
                return Ok(true);
            }
            sources.remove(0);
        }
        Ok(false)
    }

    async fn fetch_from(
        &self,
        from: &SupernodeAddr,
        height: u64,
        network: NetworkId,
    ) -> Result<bool, StoreError> {
        // From the last one that we have, so that the two are compared.
        for begin in [height.max(1), height + 1] {
            let Some(page) = name_asking::page(&self.ctx, from, begin, network).await else {
                return Ok(false);
            };
            let now = self.tell(|registrar| {
                registrar.handle_page(page);
                registrar.height()
            });
            if now.await?.is_some_and(|now| now > height) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells the machine something; what it wants on disk is there when this returns. `None` if it is not at work any more.
    async fn tell<T>(
        &self,
        tell: impl FnOnce(&mut Registrar) -> T,
    ) -> Result<Option<T>, StoreError> {
        let mut machine = self.machine.lock().await;
        // NAMES-07: it is back when all is on disk.
        let Some(mut registrar) = machine.take() else {
            return Ok(None);
        };
        let told = tell(&mut registrar);
        keep(&self.ctx, &mut registrar).await?;
        *machine = Some(registrar);
        Ok(Some(told))
    }

    /// Who holds the office, and what each supernode's copy lacks; all of them at once.
    async fn bring(&self, heard: Vec<Heard>) {
        let brought = heard
            .into_iter()
            .map(|heard| timeout(BRING_TIME, self.bring_to(heard)));
        let late = join_all(brought).await.into_iter().filter(Result::is_err);
        let late = late.count();
        if late > 0 {
            debug!(late, "supernodes were not brought all that they lack");
        }
    }

    async fn bring_to(&self, (to, head): Heard) {
        let Some(mut head) = self.introduce(&to, head).await else {
            return;
        };
        let mut before = None;
        for _ in 0..PAGES_BROUGHT {
            // It goes on from where the log was, and only while the copy grows: whatever else it says.
            let Some((height, page)) = self.lacking(head.head.as_ref()).await else {
                return;
            };
            if before.is_some_and(|before| height <= before) {
                return;
            }
            before = Some(height);
            let question = NameQuestion::Entries(Box::new(page));
            let Some(now) = self.bring_one(&to, question).await else {
                return;
            };
            head = now;
        }
    }

    /// Who holds the office; how far the copy goes then.
    async fn introduce(&self, to: &SupernodeAddr, head: NameHead) -> Option<NameHead> {
        let own = self.office_held().await?;
        if head.office.as_ref() == Some(&own) {
            return Some(head);
        }
        let question = NameQuestion::Office(Box::new(own));
        self.bring_one(to, question).await
    }

    async fn bring_one(&self, to: &SupernodeAddr, question: NameQuestion) -> Option<NameHead> {
        match name_asking::ask(&self.ctx, to, question).await {
            Ok(NameReply::Head(now)) => Some(*now),
            Ok(_) => None,
            Err(error) => {
                debug!(%error, "the log could not be brought to a supernode");
                None
            }
        }
    }

    async fn office_held(&self) -> Option<Appointment> {
        let machine = self.machine.lock().await;
        let holds =
            |one: &&Registrar| matches!(one.standing(), Standing::Serving | Standing::Behind);
        let registrar = machine.as_ref().filter(holds)?;
        Some(registrar.appointment().clone())
    }

    /// What a copy that ends there lacks.
    async fn lacking(&self, end: Option<&Statement>) -> Option<(u64, Page)> {
        let machine = self.machine.lock().await;
        let registrar = machine.as_ref()?;
        let height = registrar.height_of(end)?;
        Some((height, registrar.page_after(height)?))
    }

    /// The certificates that are not in the index yet.
    async fn publish(&self) {
        let mut homes = self.ctx.home_list();
        let all = async {
            while let Some(certificate) = self.unpublished() {
                let request = Request::Publish(Box::new(certificate.into()));
                if !self.publish_at(&mut homes, &request).await {
                    return;
                }
                lock(&self.unpublished).pop_front();
            }
        };
        let _ = timeout(PUBLISH_TIME, all).await;
    }

    fn unpublished(&self) -> Option<Signed<NameRecord>> {
        lock(&self.unpublished).front().cloned()
    }

    /// At the first home that takes it; one that does not comes last from then on.
    async fn publish_at(&self, homes: &mut [SupernodeAddr], request: &Request) -> bool {
        for _ in 0..homes.len() {
            if self.ctx.supernodes.ask(&homes[0], request).await.is_ok() {
                return true;
            }
            homes.rotate_left(1);
        }
        false
    }
}
