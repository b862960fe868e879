//! Unique names, as their owner and as somebody who looks for people sees them: claims and answers, what lies in the index, and
//! whether everybody is shown the same log. Decisions are `protocol::names::watch` and the registrar's.

mod check;
mod letters;
mod view_of;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use starling_control::{ErrorKind, Event, Failure, view};
use starling_protocol::names::watch::is_ours;
use starling_store::letters::{self as post, LetterKind};
use starling_store::name_log::{self, Whose};
use starling_store::own_names::{self, OwnName};
use starling_store::{StoreError, registrar};
use starling_wire::envelope::Letter;
use starling_wire::ids::NetworkId;
use starling_wire::link::{Link, Target};
use starling_wire::name::Name;
use starling_wire::name_claim::{Claim, Refusal, Wish};
use starling_wire::name_log::{Equivocation, INVITATION_MAX, Listing};
use starling_wire::name_query::{Found, NameQuestion, NameReply};
use starling_wire::postage::LetterKeys;
use starling_wire::record::registrar::Registrar;
use tokio::sync::Notify;
use tracing::{debug, info};

pub(super) use self::letters::{receive, seal_verdict, take_verdict};
use self::view_of::own_view;
use super::letters::{next_sequence, seal};
use super::name_asking;
use super::name_office::NameOffice;
use super::people::People;
use super::records::Records;
use crate::clock::{wall_ms, wall_s};
use crate::context::{Context, Signal, store_failure};

/// Whoever claims a name waits so long for the answer; it comes later, too.
const ANSWER_TIME: Duration = Duration::from_secs(8);
/// The own names are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 3600);
/// And so soon again while no supernode answered.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A claim without an answer is sent again after so many seconds.
const ASK_AGAIN_S: u64 = 24 * 3600;
/// Seconds of the last quarter of a year's lease: a name is renewed by itself.
const LAST_QUARTER_S: u64 = 365 * 24 * 3600 / 4;

const ELSEWHERE: &str = "another device of your account is the registrar; claim the name there";

/// Names of one account.
#[derive(Debug)]
pub struct Names {
    ctx: Arc<Context>,
    people: Arc<People>,
    records: Records,
    office: NameOffice,
    /// An answer came.
    answered: Notify,
    alarms: Mutex<Alarms>,
}

/// What is wrong, until it is not any more.
#[derive(Debug, Default)]
struct Alarms {
    proof: Option<Equivocation>,
    lost: Vec<Name>,
}

impl Names {
    /// With what was known before a restart.
    pub async fn start(
        ctx: &Arc<Context>,
        people: &Arc<People>,
        records: Records,
    ) -> Result<Self, StoreError> {
        let network = ctx.homes().network;
        let proof = match network {
            Some(network) => {
                let kept = ctx
                    .db
                    .write(move |tx| name_log::load(tx, Whose::Seen, network));
                kept.await?.proof
            }
            None => None,
        };
        let proof = proof.filter(|proof| network.is_some_and(|id| proof.verify(id).is_ok()));
        let (ctx, people) = (Arc::clone(ctx), Arc::clone(people));
        Ok(Self {
            office: NameOffice::new(Arc::clone(&ctx), Arc::clone(&people)),
            ctx,
            people,
            records,
            answered: Notify::new(),
            alarms: Mutex::new(Alarms {
                proof,
                lost: Vec::new(),
            }),
        })
    }

    /// Asks the network's registrar for a name, and waits a while for the answer.
    pub async fn claim(
        &self,
        text: &str,
        invitation: Option<String>,
        findable: bool,
    ) -> Result<view::OwnName, Failure> {
        let name = typed(text)?;
        let given = invitation.as_ref().map_or(0, String::len);
        if given > INVITATION_MAX {
            let sentence =
                format!("an invitation has at most {INVITATION_MAX} bytes; this is none");
            return Err(Failure::new(ErrorKind::Usage, sentence));
        }
        let listing = findable.then(|| self.listing()).transpose()?;
        let wish = Wish::Hold {
            listing: listing.clone(),
            invitation,
        };
        self.send(name, wish, listing).await
    }

    /// Keeps a name for another year.
    pub async fn renew(&self, text: &str) -> Result<view::OwnName, Failure> {
        let own = self.own(text).await?;
        let wish = Wish::Hold {
            listing: own.listing.clone(),
            invitation: None,
        };
        self.send(own.name, wish, own.listing).await
    }

    /// Gives a name up.
    pub async fn release(&self, text: &str) -> Result<view::OwnName, Failure> {
        let own = self.own(text).await?;
        self.send(own.name, Wish::Release, own.listing).await
    }

    /// Our names, and those that we asked for.
    pub async fn list(&self) -> Result<Vec<view::OwnName>, Failure> {
        let list = self.ctx.db.read(own_names::list).await;
        let list = list.map_err(store_failure)?;
        Ok(list.iter().map(own_view).collect())
    }

    /// A link to whoever has a name; its certificate was verified.
    pub async fn link_to(&self, text: &str) -> Result<String, Failure> {
        let account = self.resolve(text).await?;
        let link = Link {
            target: Target::Account(account),
            network: self.ctx.homes().network,
            supernodes: self.ctx.home_list(),
        };
        Ok(link.to_string())
    }

    /// What a person should know, for `status`.
    pub fn warnings(&self) -> Vec<String> {
        let alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        let contradiction = alarms.proof.as_ref().map(|proof| {
            format!(
                "The registrar of names in your network told different people different things (entry {} of its log). Names that it gave \
                 after that are not to be trusted until the network's owner appoints another one. `starling name verify NAME` \
                 shows the proof.",
                proof.one.position.height
            )
        });
        let lost = alarms.lost.iter().map(|name| {
            format!(
                "The registrar's log does not say any more that the name \"{}\" is yours.",
                name.as_str()
            )
        });
        let office = self.office.warning();
        contradiction
            .into_iter()
            .chain(lost)
            .chain(office)
            .collect()
    }

    fn listing(&self) -> Result<Listing, Failure> {
        Listing::new(self.ctx.identity.get().name.clone())
            .map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))
    }

    async fn own(&self, text: &str) -> Result<OwnName, Failure> {
        let name = typed(text)?;
        let wanted = name.clone();
        let own = self.ctx.db.read(move |tx| own_names::get(tx, &wanted));
        own.await.map_err(store_failure)?.ok_or_else(|| {
            let sentence = format!("\"{}\" is not your name", name.as_str());
            Failure::new(ErrorKind::NotFound, sentence)
        })
    }

    pub(super) fn network(&self) -> Result<NetworkId, Failure> {
        self.ctx.homes().network.ok_or_else(|| {
            let sentence = "unique names are a network's; this profile belongs to no network that has an owner";
            Failure::new(ErrorKind::State, sentence)
        })
    }

    /// Who gives names, now.
    async fn registrar(&self) -> Result<Registrar, Failure> {
        let network = self.network()?;
        let heads = name_asking::heads(&self.ctx, &self.ctx.home_list()).await;
        if heads.is_empty() {
            let sentence = "no supernode answers; try again later";
            return Err(Failure::new(ErrorKind::Unreachable, sentence));
        }
        let office = name_asking::office(&heads, network).ok_or_else(|| {
            let sentence = "nobody gives names in this network; its owner would have to run `starling registrar start`";
            Failure::new(ErrorKind::State, sentence)
        })?;
        self.note_heads(network, &heads).await;
        if self.contradicted() {
            let sentence = "the registrar of names in this network told different people different things; it gives no names until the \
                            network's owner appoints another one";
            return Err(Failure::new(ErrorKind::Refused, sentence));
        }
        Ok(office)
    }

    async fn send(
        &self,
        name: Name,
        wish: Wish,
        listing: Option<Listing>,
    ) -> Result<view::OwnName, Failure> {
        let office = self.registrar().await?;
        let claim = Claim {
            name: name.clone(),
            wish,
        };
        let known = name.clone();
        let known = self.ctx.db.read(move |tx| own_names::get(tx, &known));
        let known = known.await.map_err(store_failure)?;
        let own = OwnName {
            name: name.clone(),
            network: office.network,
            registrar: office.account,
            listing,
            certificate: known.and_then(|known| known.certificate),
            refusal: None,
            asked_at: wall_s(),
        };
        let was_held = own.certificate.is_some();
        self.post(&office, claim, own).await?;
        self.answer_about(&name, was_held).await
    }

    async fn post(&self, office: &Registrar, claim: Claim, own: OwnName) -> Result<(), Failure> {
        let account = office.account;
        if account == self.ctx.identity.account() {
            return self.claim_here(claim, own).await;
        }
        let record = self.records.look_up(account).await.ok_or_else(|| {
            let sentence = "the registrar's account was not found; try again later";
            Failure::new(ErrorKind::Unreachable, sentence)
        })?;
        let sequence = next_sequence(&self.ctx).await.map_err(store_failure)?;
        let key = LetterKeys::of_stranger(record.record().request_key);
        let name = own.name.clone();
        let sealed = seal(&self.ctx, sequence, account, &key, Letter::Claim(claim))
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        let own_set = Arc::clone(&self.ctx.own_set);
        let stored = self.ctx.db.write(move |tx| {
            own_set.keep_name(tx, own)?;
            post::put_about(tx, account, (LetterKind::Claim, &name), &sealed, wall_ms())
        });
        stored.await.map_err(store_failure)?;
        self.people.retry_post().await;
        Ok(())
    }

    /// We are the registrar ourselves. What finds no place is not asked for.
    async fn claim_here(&self, claim: Claim, own: OwnName) -> Result<(), Failure> {
        let account = self.ctx.identity.account();
        let key = LetterKeys::of_stranger(self.ctx.identity.get().request_key());
        let own_set = Arc::clone(&self.ctx.own_set);
        let kept = self.ctx.db.write(move |tx| {
            if registrar::office(tx)?.is_none() {
                return Ok(None);
            }
            let kept = registrar::keep_claim(tx, account, &claim, &key, wall_s())?;
            if kept {
                own_set.keep_name(tx, own)?;
            }
            Ok(Some(kept))
        });
        let refused = match kept.await.map_err(store_failure)? {
            Some(true) => {
                self.ctx.signal(Signal::Claim);
                return Ok(());
            }
            Some(false) => Failure::new(ErrorKind::Refused, Refusal::Crowded.to_string()),
            None => Failure::new(ErrorKind::State, ELSEWHERE),
        };
        Err(refused)
    }

    /// The answer, if it comes soon.
    async fn answer_about(&self, name: &Name, was_held: bool) -> Result<view::OwnName, Failure> {
        let answered = async {
            loop {
                let heard = self.answered.notified();
                if let Some(view) = self.settled(name, was_held).await? {
                    return Ok(view);
                }
                heard.await;
            }
        };
        match tokio::time::timeout(ANSWER_TIME, answered).await {
            Ok(view) => view,
            Err(_) => {
                let wanted = name.clone();
                let own = self.ctx.db.read(move |tx| own_names::get(tx, &wanted));
                let own = own.await.map_err(store_failure)?;
                Ok(own.as_ref().map_or_else(|| view_of::gone(name), own_view))
            }
        }
    }

    /// How it stands, if an answer to what was asked last is there.
    async fn settled(&self, name: &Name, was_held: bool) -> Result<Option<view::OwnName>, Failure> {
        let wanted = name.clone();
        let own = self.ctx.db.read(move |tx| own_names::get(tx, &wanted));
        let Some(own) = own.await.map_err(store_failure)? else {
            return Ok(Some(view_of::gone(name)));
        };
        match own.refusal {
            Some(refusal) if own.certificate.is_none() => {
                let kind = match refusal {
                    Refusal::Waiting => return Ok(Some(own_view(&own))),
                    _ => ErrorKind::Refused,
                };
                Err(Failure::new(kind, refusal.to_string()))
            }
            Some(refusal) => Err(Failure::new(ErrorKind::Refused, refusal.to_string())),
            // One that was ours before is settled when the answer sets `asked_at` back.
            None if own.certificate.is_some() && (!was_held || own.asked_at == 0) => {
                Ok(Some(own_view(&own)))
            }
            None => Ok(None),
        }
    }

    fn contradicted(&self) -> bool {
        let alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        alarms.proof.is_some()
    }

    /// An answer came, and is on disk.
    pub async fn heard(&self) {
        self.answered.notify_waiters();
        if let Ok(list) = self.list().await {
            self.ctx.emit(Event::Names(list));
        }
    }

    /// The registrar, where this profile is one.
    pub const fn office(&self) -> &NameOffice {
        &self.office
    }

    /// Runs until the session ends.
    pub async fn run(&self) {
        tokio::join!(self.watch(), self.office.run());
    }

    /// At each start and once a day: whether everybody is shown the same, whether our names are ours, and whether they end
    /// soon.
    async fn watch(&self) {
        loop {
            let wait = if self.look().await.is_some() {
                LOOK_EVERY
            } else {
                LOOK_AGAIN
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// One look; `None` if nobody answered.
    async fn look(&self) -> Option<()> {
        let network = self.ctx.homes().network?;
        let supernodes = self.ctx.home_list();
        let heads = name_asking::heads(&self.ctx, &supernodes).await;
        if heads.is_empty() {
            return None;
        }
        self.note_heads(network, &heads).await;
        let own = self.ctx.db.read(own_names::list).await.ok()?;
        let now = wall_s();
        for own in own.into_iter().filter(|own| own.network == network) {
            self.look_at(&own, &heads, now).await;
        }
        Some(())
    }

    /// `WATCH-03`, and what is due about one name.
    async fn look_at(&self, own: &OwnName, heads: &[name_asking::Heard], now: u64) {
        let until = own.certificate.as_ref().map(|signed| signed.record.expires);
        let Some(until) = until else {
            if own.refusal.is_none() && own.asked_at + ASK_AGAIN_S <= now {
                self.again(own).await;
            }
            return;
        };
        let holder = self.ctx.identity.account();
        for (supernode, _) in heads {
            let question = NameQuestion::Last(own.name.clone());
            let Ok(NameReply::Found(found)) =
                name_asking::ask(&self.ctx, supernode, question).await
            else {
                continue;
            };
            // WATCH-03: an entry about another name says nothing of this one.
            let about = |one: &&Found| one.entry.entry.name == own.name;
            let valid = found.first().filter(about);
            let valid = valid.filter(|one| one.verify(own.network).is_ok());
            let Some(last) = valid else { continue };
            let newer = own
                .certificate
                .as_ref()
                .is_none_or(|signed| last.entry.entry.height >= signed.record.sequence);
            if newer && !is_ours(&last.entry, holder, now) && until > now {
                self.alarm_lost(&own.name);
            }
        }
        // In the last quarter it is renewed by itself.
        if until < now + LAST_QUARTER_S {
            self.again(own).await;
        }
    }

    async fn again(&self, own: &OwnName) {
        debug!("a name is asked for again");
        if let Err(failure) = self.renew(own.name.as_str()).await {
            debug!(%failure, "a name could not be asked for again");
        }
    }

    fn alarm_lost(&self, name: &Name) {
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        if !alarms.lost.contains(name) {
            info!("the registrar's log gives a name of ours to somebody else");
            alarms.lost.push(name.clone());
            drop(alarms);
            self.tell_alarm();
        }
    }

    fn tell_alarm(&self) {
        let words = self.warnings();
        self.ctx.emit(Event::NameAlarm(words));
    }
}

fn typed(text: &str) -> Result<Name, Failure> {
    Name::typed(text).map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))
}
