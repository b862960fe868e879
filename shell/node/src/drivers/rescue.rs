//! What the 24 words alone bring back: a sealed copy of whom we know lies at our home supernodes, and is renewed when that has
//! changed. After a restore, everybody in it is asked for their card.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use starling_store::contacts::{self, Contact, Relation};
use starling_store::letters::{self, LetterKind};
use starling_store::rescue::Missing;
use starling_store::{StoreError, Tx, own_names, rescue as rows, settings};
use starling_wire::account::ChainHead;
use starling_wire::envelope::Letter;
use starling_wire::frame;
use starling_wire::ids::{EndpointKey, NetworkId};
use starling_wire::own_name::Held;
use starling_wire::postage::LetterKeys;
use starling_wire::record::AccountRecord;
use starling_wire::rescue::{self, Rescue, Rescued};
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tracing::debug;

use super::letters::{next_sequence, seal};
use super::people::People;
use super::profiles;
use super::records::Records;
use crate::clock::{random, wall_ms, wall_s};
use crate::context::{Context, Signal};

/// Several changes in a row make one copy.
const PAUSE: Duration = Duration::from_secs(5);
/// When something could not be done, or to see whether it is to be renewed.
const AGAIN: Duration = Duration::from_secs(60);
const AGAIN_MAX: Duration = Duration::from_secs(3600);
/// A copy that has not changed is brought anew once in so many seconds, long before its supernode forgets it.
const RENEW_S: u64 = 30 * 24 * 3600;
/// Which copy each supernode has.
const COPIES: &str = "rescue copies";
const ASKING: &str = "I have restored my account on another machine.";

/// Who looks after it.
#[derive(Debug)]
pub struct Rescuer {
    /// Shared.
    pub ctx: Arc<Context>,
    /// Carries the letters.
    pub people: Arc<People>,
    /// Finds people.
    pub records: Records,
}

impl Rescuer {
    /// Runs until the session ends.
    pub async fn run(self) {
        let mut signals = self.ctx.signals.subscribe();
        let mut wait = AGAIN;
        loop {
            let kept = self.keep().await;
            let asked = self.ask_missing().await;
            wait = match kept.and(asked) {
                Ok(true) => AGAIN_MAX,
                Ok(false) => (wait * 2).min(AGAIN_MAX),
                Err(error) => {
                    debug!(%error, "the rescue copy could not be looked after");
                    AGAIN_MAX
                }
            };
            tokio::select! {
                () = until_changed(&mut signals) => {
                    wait = AGAIN;
                    tokio::time::sleep(PAUSE).await;
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Every home has the copy as it is to be now; whether they have.
    async fn keep(&self) -> Result<bool, StoreError> {
        // A device that cannot sign leaves it to one that can.
        if !self.ctx.identity.get().can_sign() {
            return Ok(true);
        }
        let own = self.ctx.homes().network;
        let (rescue, told) = self.ctx.db.read(move |tx| collect(tx, own)).await?;
        let rescue = Rescue {
            name: self.ctx.identity.get().name.clone(),
            ..rescue
        };
        let mut now: Copies = Copies::new();
        // A device that was removed may have left another copy in its place.
        let version = version(&rescue, self.ctx.identity.get().chain.head());
        let mut complete = true;
        for home in self.ctx.home_list() {
            if told.get(&home.id) == Some(&version) || self.bring(&home, &rescue).await {
                now.insert(home.id, version);
            } else {
                complete = false;
            }
        }
        if now != told {
            let text = data_encoding::HEXLOWER.encode(&frame::encode_body(&now));
            let stored = self
                .ctx
                .db
                .write(move |tx| settings::set(tx, COPIES, &text));
            stored.await?;
        }
        Ok(complete)
    }

    async fn bring(&self, home: &SupernodeAddr, rescue: &Rescue) -> bool {
        let identity = self.ctx.identity.get();
        let Some(signing) = &identity.signing else {
            return false;
        };
        let rescue = Rescue {
            made_at: wall_ms(),
            ..rescue.clone()
        };
        let key = &identity.chain.inception.recovery_key;
        let copy = match rescue.seal(signing, identity.account(), key, random()) {
            Ok(copy) => copy,
            Err(error) => {
                debug!(%error, "no rescue copy was made");
                return false;
            }
        };
        let signature = rescue::bring(signing, identity.account(), &copy);
        let request = Request::Keep { copy, signature };
        let answer = self.ctx.supernodes.ask(home, &request).await;
        if let Err(error) = &answer {
            debug!(%error, "a home did not keep the rescue copy");
        }
        matches!(answer, Ok(Answer::Ok))
    }

    /// Everybody of whom we have no card is asked for it, once; whether nobody is left.
    async fn ask_missing(&self) -> Result<bool, StoreError> {
        let mut left = false;
        let missing = self.ctx.db.read(rows::missing).await?;
        if missing.is_empty() {
            return Ok(true);
        }
        for one in missing {
            match self.look_up(&one).await {
                Some(record) => self.ask(&one, &record).await?,
                None => left = true,
            }
        }
        self.people.retry_post().await;
        Ok(!left)
    }

    async fn ask(&self, missing: &Missing, record: &AccountRecord) -> Result<(), StoreError> {
        let account = missing.account;
        let letter = Letter::request(ASKING);
        let sequence = next_sequence(&self.ctx).await?;
        let keys = LetterKeys::of_stranger(record.request_key);
        let sealed = seal(&self.ctx, sequence, account, &keys, letter);
        let Ok(sealed) = sealed else {
            return Ok(());
        };
        let homes = record.home.clone();
        let stored = self.ctx.db.write(move |tx| {
            let contact = contacts::get(tx, account)?;
            let wanted = |contact: &Contact| {
                contact.card.is_none()
                    && matches!(contact.relation, Relation::Contact | Relation::Requested)
            };
            if let Some(contact) = contact.filter(wanted) {
                contacts::put(tx, &Contact { homes, ..contact })?;
                letters::put(tx, account, LetterKind::Request, &sealed, wall_ms())?;
            }
            rows::asked(tx, account)
        });
        stored.await
    }

    async fn look_up(&self, missing: &Missing) -> Option<AccountRecord> {
        if let Some(record) = self.records.look_up(missing.account).await {
            return Some(record.record().clone());
        }
        let account = missing.account;
        let question = Request::Lookup { account };
        match self
            .ctx
            .supernodes
            .ask(missing.home.as_ref()?, &question)
            .await
        {
            Ok(Answer::Record(Some(record))) => {
                let record = record.verify(account, wall_s()).ok()?;
                Some(record.record().clone())
            }
            _ => None,
        }
    }
}

type Copies = BTreeMap<EndpointKey, [u8; 16]>;

/// What a copy has to say, the newest contacts first, and which copies are out. Its name and time are still to come.
fn collect(tx: &Tx<'_>, own: Option<NetworkId>) -> Result<(Rescue, Copies), StoreError> {
    let mut known = contacts::list(tx)?;
    known.retain(|contact| !contact.echo);
    known.sort_by_key(|contact| {
        let blocked = contact.relation == Relation::Blocked;
        (
            blocked,
            std::cmp::Reverse(contact.added_at),
            contact.account,
        )
    });
    let rescue = Rescue {
        name: String::new(),
        made_at: 0,
        names: own_names::list(tx)?.into_iter().map(Held::from).collect(),
        shown: profiles::without_picture(tx)?,
        people: known.iter().map(|contact| rescued(contact, own)).collect(),
    };
    let copies = settings::get(tx, COPIES)?;
    let copies = copies.and_then(|text| {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        frame::decode_body(&bytes, bytes.len()).ok()
    });
    Ok((rescue.cut(), copies.unwrap_or_default()))
}

fn rescued(contact: &Contact, own: Option<NetworkId>) -> Rescued {
    let elsewhere = contact.network != own;
    let name = contact.nickname.as_ref().unwrap_or(&contact.name);
    Rescued {
        account: contact.account,
        blocked: contact.relation == Relation::Blocked,
        name: name.clone(),
        network: contact.network.filter(|_| elsewhere),
        home: contact.homes.first().filter(|_| elsewhere).cloned(),
    }
}

/// Changes when the copy is to be renewed.
fn version(rescue: &Rescue, head: ChainHead) -> [u8; 16] {
    let said = frame::encode_body(&(rescue, head, wall_s() / RENEW_S));
    let mut version = [0; 16];
    version.copy_from_slice(&blake3::hash(&said).as_bytes()[..16]);
    version
}

async fn until_changed(signals: &mut broadcast::Receiver<Signal>) {
    loop {
        match signals.recv().await {
            Ok(
                Signal::Home(_)
                | Signal::Contact(_)
                | Signal::Gone(_)
                | Signal::Verdict
                | Signal::Profile,
            )
            | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
