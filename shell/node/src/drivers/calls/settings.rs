//! How the person wants to be called: the same for all devices of the account.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use starling_control::{ErrorKind, Failure, view};
use starling_protocol::call::calls::{Forwarding, Reception};
use starling_store::{StoreError, Tx, settings};
use starling_wire::ids::AccountId;
use starling_wire::sync::item::Item;

use crate::book::Relation;
use crate::context::Context;
use crate::drivers::views;

/// The setting's name, here and among own devices.
const NAME: &str = "calls";
/// Seconds after which a call that nobody answers goes to somebody else: before its caller gives up.
const AFTER_DEFAULT: u32 = 20;
const AFTER_LEAST: u32 = 5;
const AFTER_MOST: u32 = 50;

/// As it was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A call rings while there is another one.
    waiting: bool,
    /// Whoever we talk to may put us through.
    transfers: bool,
    /// To whom every call goes.
    always: Option<AccountId>,
    /// To whom one goes that would hear busy.
    busy: Option<AccountId>,
    /// To whom one goes that nobody answers.
    no_answer: Option<AccountId>,
    /// After so many seconds.
    after: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            waiting: true,
            transfers: true,
            always: None,
            busy: None,
            no_answer: None,
            after: AFTER_DEFAULT,
        }
    }
}

/// The same, for whoever asks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Chosen(Arc<RwLock<Settings>>);

impl Chosen {
    /// As it was chosen before.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(RwLock::new(settings)))
    }

    /// As it is.
    pub fn get(&self) -> Settings {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it was stored since.
    pub fn set(&self, settings: Settings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}

impl Settings {
    /// As it is stored.
    pub fn load(tx: &Tx<'_>) -> Result<Self, StoreError> {
        Ok(Self::read(&settings::get(tx, NAME)?.unwrap_or_default()))
    }

    /// How an invitation is met now. Calls go to contacts only.
    pub fn reception(&self, ctx: &Context) -> Reception {
        let there = |to: Option<AccountId>| to.filter(|to| is_contact(ctx, *to));
        let after = Duration::from_secs(self.after.into());
        Reception {
            waiting: self.waiting,
            // PRESENCE-25
            quiet: ctx.own_presence.is_quiet(),
            forwarding: Forwarding {
                always: there(self.always),
                busy: there(self.busy),
                no_answer: there(self.no_answer).map(|to| (to, after)),
            },
        }
    }

    /// Whether we go where whoever we talk to puts us through.
    pub const fn follows(&self) -> bool {
        self.transfers
    }

    /// With what is to change.
    pub async fn with(
        mut self,
        ctx: &Arc<Context>,
        choice: view::CallChoice,
    ) -> Result<Self, Failure> {
        self.waiting = choice.waiting.unwrap_or(self.waiting);
        self.transfers = choice.transfers.unwrap_or(self.transfers);
        for (to, who) in [
            (&mut self.always, choice.forward_always),
            (&mut self.busy, choice.forward_busy),
            (&mut self.no_answer, choice.forward_no_answer),
        ] {
            if let Some(who) = who {
                *to = target(ctx, &who).await?;
            }
        }
        self.after = choice.forward_after.unwrap_or(self.after);
        if (AFTER_LEAST..=AFTER_MOST).contains(&self.after) {
            return Ok(self);
        }
        let sentence =
            format!("a call is forwarded after {AFTER_LEAST} to {AFTER_MOST} s without an answer");
        Err(Failure::new(ErrorKind::Usage, sentence))
    }

    /// For clients.
    pub fn view(&self, ctx: &Context) -> view::CallSettings {
        let to = |account: Option<AccountId>| {
            let account = account?;
            Some(view::ForwardTo {
                contact: account.to_string(),
                who: ctx.title(account),
            })
        };
        view::CallSettings {
            waiting: self.waiting,
            transfers: self.transfers,
            forward_always: to(self.always),
            forward_busy: to(self.busy),
            forward_no_answer: to(self.no_answer),
            forward_after: self.after,
        }
    }

    /// For all own devices.
    pub fn item(&self) -> Item {
        Item::Setting(NAME.to_owned(), Some(self.write()))
    }

    fn write(&self) -> String {
        let mut words = vec![format!("after={}", self.after)];
        if !self.waiting {
            words.push("alone".to_owned());
        }
        if !self.transfers {
            words.push("stays".to_owned());
        }
        let targets = [
            ("always", self.always),
            ("busy", self.busy),
            ("no-answer", self.no_answer),
        ];
        let to = |(name, account): (&str, Option<AccountId>)| Some(format!("{name}={}", account?));
        words.extend(targets.into_iter().filter_map(to));
        words.join(" ")
    }

    /// What a later version wrote beside, and what is out of bounds, is passed over.
    fn read(text: &str) -> Self {
        let mut settings = Self::default();
        for word in text.split(' ') {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let account = value.parse().ok();
            match name {
                "alone" => settings.waiting = false,
                "stays" => settings.transfers = false,
                "always" => settings.always = account,
                "busy" => settings.busy = account,
                "no-answer" => settings.no_answer = account,
                "after" => {
                    let after = value.parse().unwrap_or(AFTER_DEFAULT);
                    settings.after = after.clamp(AFTER_LEAST, AFTER_MOST);
                }
                _ => {}
            }
        }
        settings
    }
}

fn is_contact(ctx: &Context, account: AccountId) -> bool {
    let person = ctx.book.person(account);
    person.is_some_and(|person| person.relation == Relation::Contact)
}

/// Whom somebody typed; nobody, if nothing.
async fn target(ctx: &Arc<Context>, who: &str) -> Result<Option<AccountId>, Failure> {
    if who.trim().is_empty() {
        return Ok(None);
    }
    let account = views::find(ctx, who).await?;
    if is_contact(ctx, account) {
        return Ok(Some(account));
    }
    let sentence = "calls go to accepted contacts only";
    Err(Failure::new(ErrorKind::State, sentence))
}

/// Keeps what was chosen here.
pub fn keep(tx: &Tx<'_>, item: &Item) -> Result<(), StoreError> {
    if let Item::Setting(name, value) = item {
        note(tx, name, value.as_deref())?;
    }
    Ok(())
}

/// What the own set says of the settings; whether it is about calls.
pub fn note(tx: &Tx<'_>, name: &str, value: Option<&str>) -> Result<bool, StoreError> {
    if name != NAME {
        return Ok(false);
    }
    settings::set(tx, NAME, value.unwrap_or_default())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_28_what_was_chosen_is_read_as_it_was_written() {
        let all = Settings {
            waiting: false,
            transfers: false,
            always: Some(AccountId([1; 32])),
            busy: Some(AccountId([2; 32])),
            no_answer: Some(AccountId([3; 32])),
            after: 7,
        };
        for settings in [Settings::default(), all] {
            assert_eq!(Settings::read(&settings.write()), settings);
        }
        assert_eq!(Settings::read(""), Settings::default());
        let later = Settings::read("what comes later always=nobody after=9999");
        let most = Settings {
            after: AFTER_MOST,
            ..Settings::default()
        };
        assert_eq!(later, most);
    }
}
