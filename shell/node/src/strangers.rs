//! What a letter between strangers costs today: to us, at our home, as it said last; and us, where we write to somebody. And why a
//! request of ours could not be left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use starling_wire::ids::AccountId;
use starling_wire::postage::WORK_MIN;

/// From so many bits on, work is noticed: a computer of 2020 needs a tenth of a second and more.
const NOTICED: u8 = 20;

/// For `status`.
#[derive(Debug, Default)]
pub struct Strangers {
    asked_here: AtomicU8,
    working: Mutex<BTreeMap<AccountId, u8>>,
    /// Requests that were tried in vain, with the last reason.
    kept: Mutex<BTreeMap<AccountId, String>>,
}

/// Work for a letter goes on as long as this lives.
#[derive(Debug)]
pub struct Working<'a> {
    strangers: &'a Strangers,
    account: AccountId,
}

impl Strangers {
    /// Our home said what a stranger's letter to us costs.
    pub fn note_asked_here(&self, bits: u8) {
        self.asked_here.store(bits, Ordering::Relaxed);
    }

    /// We work for a letter to somebody.
    pub fn note_working(&self, account: AccountId, bits: u8) -> Working<'_> {
        self.working().insert(account, bits);
        Working {
            strangers: self,
            account,
        }
    }

    /// A request of ours was left, or could not be.
    pub fn note_tried(&self, account: AccountId, trouble: Option<String>) {
        match trouble {
            Some(why) => self.kept().insert(account, why),
            None => self.kept().remove(&account),
        };
    }

    /// Requests that wait, in words; `asked` is what we call somebody whose answer is still awaited.
    pub fn requests_that_wait(&self, asked: impl Fn(AccountId) -> Option<String>) -> Vec<String> {
        let kept = self.kept();
        let words = |(account, why): (&AccountId, &String)| {
            let title = asked(*account)?;
            Some(format!(
                "your request to {title} is still here: {why}; it is tried again by itself"
            ))
        };
        kept.iter().filter_map(words).collect()
    }

    /// In words; `title` is what we call somebody.
    pub fn words(&self, title: impl Fn(AccountId) -> String) -> Vec<String> {
        let mut words = Vec::new();
        if self.asked_here.load(Ordering::Relaxed) > WORK_MIN {
            words.push(
                "many strangers write to you: each of them now has to let a computer work before a request is taken; contacts \
                 are not affected"
                    .to_owned(),
            );
        }
        let working = self.working();
        let noticed = working.iter().filter(|(_, bits)| **bits >= NOTICED);
        words.extend(noticed.map(|(account, _)| {
            format!(
                "your letter to {} costs work, because many strangers write there: this computer works for some seconds, then it \
                 is sent",
                title(*account)
            )
        }));
        words
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<AccountId, String>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> MutexGuard<'_, BTreeMap<AccountId, u8>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.strangers.working().remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_noticed_is_told() {
        let strangers = Strangers::default();
        let words = || strangers.words(|_| "Bob".to_owned());
        strangers.note_asked_here(WORK_MIN);
        let quick = strangers.note_working(AccountId([1; 32]), WORK_MIN);
        assert!(words().is_empty());
        strangers.note_asked_here(WORK_MIN + 1);
        assert!(words()[0].contains("many strangers write to you"));
        strangers.note_asked_here(WORK_MIN);
        let long = strangers.note_working(AccountId([2; 32]), NOTICED);
        assert!(words()[0].contains("your letter to Bob"));
        drop((quick, long));
        assert!(words().is_empty());
    }

    #[test]
    fn a_request_that_could_not_be_left_says_why_until_it_is() {
        let strangers = Strangers::default();
        let bob = AccountId([1; 32]);
        strangers.note_tried(bob, Some("the clock is wrong".to_owned()));
        let words = strangers.requests_that_wait(|_| Some("Bob".to_owned()));
        assert!(words[0].contains("your request to Bob is still here: the clock is wrong"));
        assert!(
            strangers.requests_that_wait(|_| None).is_empty(),
            "taken back"
        );
        strangers.note_tried(bob, None);
        assert!(
            strangers
                .requests_that_wait(|_| Some("Bob".to_owned()))
                .is_empty()
        );
    }
}
