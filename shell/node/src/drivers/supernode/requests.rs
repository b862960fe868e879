//! What clients ask of a supernode, each answered in one go: registrations, look-ups, envelopes, presence lists.

use starling_protocol::index::holder::PutRefusal;
use starling_store::{StoreError, rescue, supernode as rows};
use starling_wire::ending::Ending;
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::placement::IndexKey;
use starling_wire::postage::Stamped;
use starling_wire::record::{
    AccountRecord, Content, Kind, RecordError, Signed, SignedRecord, VerifiedRecord,
};
use starling_wire::registration::{Place, Registration, RegistrationError};
use starling_wire::supernode::{Answer, Refusal, Request};
use tracing::{debug, warn};

use super::Service;
use super::among::Among;
use super::overlay::Refused;
use crate::clock::wall_s;
use crate::roles::Role;

/// Answers a request, whoever asks.
pub(super) async fn answer(service: &Service, asker: EndpointKey, request: Request) -> Answer {
    if let Err(refusal) = request.check() {
        if matches!(request, Request::Register(_)) {
            service.count_account(RecordError::TooLarge.into());
        }
        return Answer::Refused(refusal);
    }
    let result = match request {
        Request::Register(registration) => service.register(asker, &registration).await,
        Request::Lookup { account } => service.lookup(account).await,
        Request::Deposit {
            account,
            postage,
            envelope,
        } => {
            let letter = Stamped { postage, envelope };
            service.deposit(asker, account, letter).await
        }
        Request::Collect => service.collect(asker).await,
        Request::Collected { ids } => service.collected(asker, ids).await,
        Request::Watch(watch) => service.watch(asker, watch).await,
        Request::StillWatch {
            list,
            reply_to,
            digest,
        } => service.still_watch(asker, list, reply_to, digest).await,
        Request::Grant(grant) => service.grant(asker, grant).await,
        Request::State(state) => service.set_state(asker, state).await,
        Request::Supernodes => Ok(Answer::Supernodes(service.some_others())),
        Request::Publish(record) => service.publish(asker, &record).await,
        Request::DialBack(ports) => service.dial_back(asker, ports).await,
        Request::Upstream { .. } => service.upstream(asker),
        Request::Willing(willing) => service.note_willing(asker, willing).await,
        Request::End(ending) => service.end(asker, &ending).await,
        Request::Keep { copy, signature } => service.keep(asker, copy, signature).await,
        Request::Rescue { account, signature } => service.rescue(asker, account, signature).await,
        Request::Names(question) => service.about_names(asker, question).await,
        Request::OpenRoom => service.open_room(asker).await,
        Request::Holders => Ok(service.some_holders()),
        Request::GrantBox => service.grant_box(asker).await,
        Request::LeavePackages(packages) => service.leave_packages(asker, packages).await,
        Request::TakePackage(taking) => service.take_package(asker, taking).await,
        Request::Find(key) => Ok(Answer::Found(service.find(key).await.map(Box::new))),
    };
    result.unwrap_or_else(Answer::Refused)
}

impl Service {
    /// `SUPER-06`: a front door is kept only if a device of the account signed for it here; `SUPER-02`: an older record
    /// never replaces a newer one.
    async fn register(
        &self,
        asker: EndpointKey,
        registration: &Registration,
    ) -> Result<Answer, Refusal> {
        let place = Place {
            door: asker,
            supernode: self.own.id,
        };
        let verified = registration.verify(place, wall_s()).map_err(|error| {
            debug!(%error, "refused a registration");
            if let RegistrationError::Record(reason) = error {
                self.count_account(reason.into());
            }
            Refusal::InvalidRecord
        })?;
        self.willing.look();
        let shown = verified.clone();
        let standing = self.stored(move |tx| rows::standing(tx, &shown)).await?;
        // INDEX-24: holders hear nothing of a client who comes back: that would tell them when he is there. INDEX-33: whom the
        // index has no room for is served here all the same; its owner's look (INDEX-19) brings the record again.
        if self.is_new(standing)?
            && let Some(among) = self.among()
        {
            let record = verified.record().clone();
            match self.spread(asker, record.into(), &among).await {
                Err(Refusal::Full) => debug!("registered somebody for whom the index has no room"),
                other => drop(other?),
            }
        }
        let kept = self.stored(move |tx| rows::register(tx, &verified)).await?;
        self.is_new(kept)?;
        self.carrier.registered([asker]);
        Ok(Answer::Ok)
    }

    /// Whether a record that may be registered is new here.
    fn is_new(&self, standing: rows::Registered) -> Result<bool, Refusal> {
        match standing {
            rows::Registered::New => Ok(true),
            rows::Registered::Known => Ok(false),
            rows::Registered::Older => {
                self.count_account(PutRefusal::Older.into());
                Err(Refusal::Older)
            }
            rows::Registered::Full => Err(Refusal::Full),
        }
    }

    /// `INDEX-27`: a registration's record was refused.
    fn count_account(&self, why: Refused) {
        if let Some(among) = self.among() {
            among.overlay.count(Kind::Account, why);
        }
    }

    /// `INDEX-25`: a client's record of whatever kind goes to its holders, if it is one.
    async fn publish(&self, asker: EndpointKey, record: &SignedRecord) -> Result<Answer, Refusal> {
        let among = self.among().ok_or(Refusal::Full)?;
        match record.verify(among.network, wall_s()) {
            Ok(record) => self.spread(asker, record, &among).await,
            Err(reason) => {
                let kind = record.kind();
                debug!(%reason, %kind, "refused a client's record");
                among.overlay.count(kind, reason.into());
                Err(Refusal::InvalidRecord)
            }
        }
    }

    async fn spread(
        &self,
        asker: EndpointKey,
        record: VerifiedRecord,
        among: &Among,
    ) -> Result<Answer, Refusal> {
        let kind = record.signed().kind();
        let block = self.relay.block_of(asker);
        let kept = among.overlay.publish(record, block).await;
        if let Err(reason) = kept
            && reason != PutRefusal::NotHolder
        {
            among.overlay.count(kind, reason.into());
        }
        match kept {
            Ok(()) | Err(PutRefusal::NotHolder) => Ok(Answer::Ok),
            Err(PutRefusal::Older | PutRefusal::Conflict | PutRefusal::Changed) => {
                Err(Refusal::Older)
            }
            Err(PutRefusal::Full | PutRefusal::TooMany | PutRefusal::BlockFull) => {
                Err(Refusal::Full)
            }
        }
    }

    /// The newer of what the index has and what its owner left here.
    async fn lookup(&self, account: AccountId) -> Result<Answer, Refusal> {
        let now = wall_s();
        let here = self.stored(move |tx| rows::record(tx, account)).await?;
        let here = here.filter(|record| record.record.expires > now);
        let spread = match self.find(IndexKey::account(account)).await {
            Some(SignedRecord::Account(record)) => Some(record),
            _ => None,
        };
        let newest = here
            .into_iter()
            .chain(spread)
            .max_by_key(|record: &Signed<AccountRecord>| record.record.order());
        Ok(Answer::Record(newest))
    }

    /// What the index has, of whatever kind.
    async fn find(&self, key: IndexKey) -> Option<SignedRecord> {
        self.among()?.overlay.look_up(key).await
    }

    /// `ENDING-03`: an account that has ended has no door, no letters and no copy here, and its record says so everywhere.
    async fn end(&self, asker: EndpointKey, ending: &Ending) -> Result<Answer, Refusal> {
        let record = ending.verify(wall_s()).map_err(|error| {
            debug!(%error, "refused an account's end");
            Refusal::InvalidRecord
        })?;
        let (account, signed) = (record.account(), record.signed().clone());
        let doors = self.stored(move |tx| rows::doors(tx, account)).await?;
        if let Some(among) = self.among() {
            match self.spread(asker, record.into(), &among).await {
                Ok(_) | Err(Refusal::Full) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        self.stored(move |tx| {
            rows::end(tx, &signed)?;
            rescue::forget(tx, account)
        })
        .await?;
        debug!(doors = doors.len(), "an account has ended");
        Ok(Answer::Ok)
    }

    /// `RESCUE-05`: a copy for a registered account, where letters are kept, too.
    async fn keep(
        &self,
        asker: EndpointKey,
        copy: Vec<u8>,
        signature: ([u8; 32], [u8; 32]),
    ) -> Result<Answer, Refusal> {
        let account = self.account_of(asker).await?;
        let record = self.stored(move |tx| rows::record(tx, account)).await?;
        let record = record.ok_or(Refusal::UnknownAccount)?;
        // RESCUE-06
        let key = record.record.by.signing_key();
        if !starling_wire::rescue::may_keep(key, account, &copy, signature) {
            return Err(Refusal::Malformed);
        }
        let bytes = copy.len() as u64;
        if !self.carrier.is_on(Role::Mailbox) {
            return Err(Refusal::NoMailbox);
        }
        if !self.carrier.letter(bytes) {
            return Err(Refusal::Full);
        }
        self.carrier.meter().letter_received(bytes);
        let kept = self.stored(move |tx| rescue::keep(tx, account, &copy, wall_s()));
        match kept.await? {
            rescue::Keeping::Kept => Ok(Answer::Ok),
            rescue::Keeping::Full => Err(Refusal::Full),
            rescue::Keeping::UnknownAccount => Err(Refusal::UnknownAccount),
        }
    }

    /// `RESCUE-02`: whoever has not the recovery key hears what he would hear if there were none.
    async fn rescue(
        &self,
        asker: EndpointKey,
        account: AccountId,
        signature: ([u8; 32], [u8; 32]),
    ) -> Result<Answer, Refusal> {
        let kept = self.stored(move |tx| rescue::get(tx, account)).await?;
        let places = (self.own.id, asker);
        let theirs = kept.filter(|kept| {
            starling_wire::rescue::may_have(&kept.recovery_key, account, places, signature)
        });
        let copy = theirs.map(|kept| kept.copy);
        if let Some(copy) = &copy {
            self.carrier.meter().letter_sent(copy.len() as u64);
        }
        Ok(Answer::Rescue(copy))
    }

    pub(super) async fn account_of(&self, door: EndpointKey) -> Result<AccountId, Refusal> {
        let found = self.db.read(move |tx| rows::account_of(tx, door)).await;
        found.map_err(refused)?.ok_or(Refusal::NotRegistered)
    }

    pub(super) async fn stored<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&starling_store::Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.db.write(work).await.map_err(refused)
    }
}

fn refused(error: StoreError) -> Refusal {
    warn!(%error, "the supernode's store refused");
    Refusal::Full
}
