//! An account back from its 24 words: who it is follows from them; its network's index says where it was at home; there lies a
//! copy of whom it knows. A new signing key is named, so every device of before is out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use starling_control::{ErrorKind, Failure, view};
use starling_store::contacts::{self, Contact, Relation};
use starling_store::profile;
use starling_store::rescue::{self as rows, Missing};
use starling_store::{StoreError, Tx, own_names};
use starling_wire::account::{Founding, Inception};
use starling_wire::ids::{AccountId, DeviceId};
use starling_wire::limits::RECOVERIES_MAX;
use starling_wire::phrase;
use starling_wire::record::{AccountRecord, Content};
use starling_wire::rescue::{self, Rescue, Rescued};
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::sync::mpsc;
use tracing::debug;

use crate::clock::{random, wall_ms, wall_s};
use crate::context::store_failure;
use crate::drivers::profiles;
use crate::identity::Identity;
use crate::node::{App, device_name};
use crate::recovery::{self, Way};
use crate::transport::front_door::FrontDoor;
use crate::transport::requests::Supernodes;

/// Supernodes that are asked.
const ASKED: usize = 8;
/// For each of the two questions.
const TIME: Duration = Duration::from_secs(15);
/// 1 January 2026: what no index remembers is numbered by the days since.
const EPOCH_S: u64 = 1_767_225_600;

/// What somebody has who has the words.
struct Words {
    recovery: SigningKey,
    /// The account's first record.
    inception: Inception,
}

impl Words {
    fn read(words: &str) -> Result<SigningKey, Failure> {
        let seed = phrase::key(words);
        let seed = seed.map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))?;
        Ok(SigningKey::from_bytes(&seed))
    }

    fn account(&self) -> AccountId {
        self.inception.id()
    }
}

/// What is known of the account besides.
#[derive(Default)]
struct Known {
    record: Option<AccountRecord>,
    rescue: Option<Rescue>,
}

/// Brings the account of these words into a profile that has none. `anyway`: also where its network does not know it.
pub async fn restore(app: &Arc<App>, words: &str, anyway: bool) -> Result<view::Restored, Failure> {
    app.without_account()?;
    let recovery = Words::read(words)?;
    let words = Words {
        inception: Founding::new(&recovery.to_bytes()).inception(),
        recovery,
    };
    let known = find(app, &words).await?;
    if known.record.is_none() && !anyway {
        return Err(Failure::new(
            ErrorKind::NotFound,
            "this network's index does not know the account of these words: it belongs to another network, or was not used for a \
             week. Join its network first, or say --anyway to go on without its contacts",
        ));
    }
    let identity = identity(&words, &known);
    let _one = app.changing.lock().await;
    app.without_account()?;
    let (row, rescue) = (identity.to_profile(), known.rescue);
    let told = told(&identity, rescue.as_ref(), known.record.is_some());
    let stored = app.db.write(move |tx| {
        profile::create(tx, &row)?;
        // Whoever restores by the words has them.
        recovery::note(tx, Way::Phrase)?;
        let Some(rescue) = rescue else {
            return Ok(());
        };
        for held in rescue.names {
            own_names::put(tx, &held.into())?;
        }
        profiles::restored(tx, rescue.shown)?;
        rescue.people.into_iter().try_for_each(|one| keep(tx, one))
    });
    stored.await.map_err(store_failure)?;
    let account = app.sign_in(identity).await?;
    Ok(view::Restored { account, ..told })
}

/// Makes this device the only one of its account, also where it was removed. Contacts, messages and settings stay.
pub async fn recover(app: &Arc<App>, words: &str) -> Result<view::Account, Failure> {
    let session = app.session()?;
    let recovery = Words::read(words)?;
    let inception = session.ctx.identity.get().chain.inception.clone();
    if recovery.verifying_key().to_bytes() != inception.recovery_key {
        let sentence = "these are the words of another account";
        return Err(Failure::new(ErrorKind::Refused, sentence));
    }
    let words = Words {
        recovery,
        inception,
    };
    let known = find(app, &words).await?;
    let _one = app.changing.lock().await;
    let before = session.ctx.identity.get().chain.speaker().recoveries();
    let next = number(known.record.as_ref()).max(before.saturating_add(1));
    session.devices.recover(&words.recovery, next).await?;
    recovery::checked(app, Way::Phrase).await?;
    app.sign_in_again().await
}

fn told(identity: &Identity, rescue: Option<&Rescue>, was_found: bool) -> view::Restored {
    let people = rescue.map_or(&[][..], |rescue| &rescue.people);
    let blocked = people.iter().filter(|one| one.blocked).count();
    let mut notes = Vec::new();
    if was_found && rescue.is_none() {
        notes.push("no supernode had a copy of its contacts; ask them for their links".to_owned());
    }
    if rescue.is_none() {
        let name = &identity.name;
        notes.push(format!(
            "its name is not known any more; it is called {name} for now"
        ));
    }
    view::Restored {
        account: view::Account::default(),
        contacts: people.len() - blocked,
        blocked,
        notes,
    }
}

/// Asks as nobody, by a door that is closed afterwards.
async fn find(app: &App, words: &Words) -> Result<Known, Failure> {
    let homes = app.homes().await.map_err(store_failure)?.supernodes;
    let (sender, _nobody_comes) = mpsc::channel(1);
    let seed: [u8; 32] = random();
    let (pins, proxy) = (app.pins.clone(), app.config.proxy.clone());
    let door = FrontDoor::open(&seed, pins, proxy, None, Arc::new(|_| None), sender).await;
    let door = door.map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
    let door = Arc::new(door);
    let visit = Visit {
        app,
        words,
        supernodes: Supernodes::new(Arc::clone(&door)),
        door,
    };
    let entered = visit.enter(&homes).await;
    let known = if entered {
        visit.look_round(homes).await
    } else {
        Known::default()
    };
    visit.door.close().await;
    if entered {
        return Ok(known);
    }
    Err(Failure::new(
        ErrorKind::Unreachable,
        "no supernode of this network answers; is this machine connected?",
    ))
}

/// Questions without an account.
struct Visit<'a> {
    app: &'a App,
    words: &'a Words,
    supernodes: Supernodes,
    door: Arc<FrontDoor>,
}

impl Visit<'_> {
    /// Goes in by the first that answers: a front door reaches the others through it.
    async fn enter(&self, at: &[SupernodeAddr]) -> bool {
        for supernode in at.iter().take(ASKED) {
            self.app.pins.learn(supernode);
            self.door.set_home(supernode).await;
            let account = self.words.account();
            let answer = self
                .supernodes
                .ask(supernode, &Request::Lookup { account })
                .await;
            match answer {
                Ok(_) => return true,
                Err(error) => debug!(%error, "a supernode did not answer"),
            }
        }
        false
    }

    async fn look_round(&self, homes: Vec<SupernodeAddr>) -> Known {
        let record = self.record(&homes).await;
        let mut keepers = record
            .as_ref()
            .map_or_else(Vec::new, |record| record.home.clone());
        keepers.extend(homes);
        Known {
            rescue: self.copy(&keepers, record.as_ref()).await,
            record,
        }
    }

    /// The newest record of the account that one of these has.
    async fn record(&self, at: &[SupernodeAddr]) -> Option<AccountRecord> {
        let account = self.words.account();
        let answers = self.ask_all(at, |_| Request::Lookup { account }).await;
        let records = answers.into_iter().filter_map(|answer| match answer {
            Answer::Record(Some(record)) => record.verify(account, wall_s()).ok(),
            _ => None,
        });
        let newest = records.max_by_key(|record| record.record().order());
        newest.map(|record| record.record().clone())
    }

    /// `RESCUE-04`: the newest copy that the account's key signed.
    async fn copy(&self, at: &[SupernodeAddr], record: Option<&AccountRecord>) -> Option<Rescue> {
        let (account, recovery) = (self.words.account(), &self.words.recovery);
        let first = self.words.inception.signing_key;
        let signing_key = record.map_or(first, |record| *record.by.signing_key());
        let asked = |supernode: &SupernodeAddr| Request::Rescue {
            account,
            signature: rescue::ask(recovery, account, supernode.id, self.door.key()),
        };
        let answers = self.ask_all(at, asked).await;
        let opened = answers.into_iter().filter_map(|answer| match answer {
            Answer::Rescue(Some(copy)) => {
                let opened = rescue::open(&copy, account, recovery, &signing_key);
                opened
                    .inspect_err(|error| debug!(%error, "a rescue copy was refused"))
                    .ok()
            }
            _ => None,
        });
        opened.max_by_key(|rescue| rescue.made_at)
    }

    async fn ask_all(
        &self,
        at: &[SupernodeAddr],
        question: impl Fn(&SupernodeAddr) -> Request,
    ) -> Vec<Answer> {
        let mut seen = BTreeSet::new();
        let at = at.iter().filter(|one| seen.insert(one.id)).take(ASKED);
        let mut asking: FuturesUnordered<_> = at
            .map(|supernode| {
                self.app.pins.learn(supernode);
                let request = question(supernode);
                async move { self.supernodes.ask(supernode, &request).await }
            })
            .collect();
        let mut answers = Vec::new();
        let all = async {
            while let Some(answer) = asking.next().await {
                answers.extend(answer);
            }
        };
        let _ = tokio::time::timeout(TIME, all).await;
        answers
    }
}

/// This machine as the account's only device.
fn identity(words: &Words, known: &Known) -> Identity {
    let signing = SigningKey::from_bytes(&random());
    let device = SigningKey::from_bytes(&random());
    let device_name = device_name();
    let id = DeviceId(device.verifying_key().to_bytes());
    let chain = words.inception.recover(
        &words.recovery,
        number(known.record.as_ref()),
        &signing.verifying_key(),
        (id, &device_name),
    );
    let name = known.rescue.as_ref().map(|rescue| rescue.name.clone());
    Identity {
        name: name.unwrap_or_else(|| words.account().short()),
        signing: Some(signing),
        recovery_seed: Some(words.recovery.to_bytes()),
        device,
        front_door_seed: random(),
        request_secret: random(),
        earlier_requests: Vec::new(),
        name_hidden: known.rescue.as_ref().is_some_and(hides_name),
        discovery_key: random(),
        chain,
        seen: None,
        device_name,
        sequence: 0,
    }
}

fn hides_name(rescue: &Rescue) -> bool {
    rescue.shown.iter().any(profiles::hides_name)
}

/// `ACCOUNT-10`: the word that comes after all before. What the index has forgotten is over a week old: the days count on.
fn number(record: Option<&AccountRecord>) -> u16 {
    let days = wall_s().saturating_sub(EPOCH_S) / (24 * 3600);
    let number = record.map_or(days, |record| u64::from(record.by.recoveries()));
    u16::try_from(number + 1).map_or(RECOVERIES_MAX, |number| number.min(RECOVERIES_MAX))
}

/// Somebody the account knows, as a request that waits for the answer with their card.
fn keep(tx: &Tx<'_>, one: Rescued) -> Result<(), StoreError> {
    let contact = Contact {
        account: one.account,
        relation: if one.blocked {
            Relation::Blocked
        } else {
            Relation::Requested
        },
        card: None,
        name: one.name,
        nickname: None,
        network: one.network,
        homes: one.home.iter().cloned().collect(),
        echo: false,
        added_at: wall_ms(),
    };
    contacts::put(tx, &contact)?;
    if one.blocked {
        return Ok(());
    }
    rows::put_missing(
        tx,
        &Missing {
            account: one.account,
            network: one.network,
            home: one.home,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_10_a_recovery_counts_after_all_that_were_seen_or_may_have_been() {
        let words = Founding::new(&[1; 32]);
        let signing = SigningKey::from_bytes(&[2; 32]).verifying_key();
        let device = DeviceId(signing.to_bytes());
        let inception = words.inception();
        let chain = inception.recover(&words.recovery, 7, &signing, (device, "new"));
        let record = AccountRecord {
            by: chain.speaker(),
            head: chain.head(),
            request_key: [0; 32],
            home: Vec::new(),
            sequence: 1,
            expires: 2,
        };
        assert_eq!(number(Some(&record)), 8);
        assert!(number(None) > 300, "nobody was seen: the days since 2026");
    }
}
