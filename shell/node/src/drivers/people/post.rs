//! The post: letters of ours are left at a home of their recipient, with retries. Where we are strangers it costs work, which is
//! done beside: it ends with whoever waits for it, and letters to contacts do not wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use starling_control::{ErrorKind, Failure};
use starling_store::contacts;
use starling_store::letters::{self, Letter, LetterKind, To};
use starling_wire::ids::AccountId;
use starling_wire::postage::{Postage, Search, Step, WORK_MAX, WORK_MIN, Work};
use starling_wire::supernode::{Refusal, Request, SupernodeAddr};
use tokio::sync::Notify;
use tracing::debug;

use super::People;
use crate::clock::{wall_ms, wall_s};
use crate::context::store_failure;
use crate::transport::dial::{DialError, staggered};
use crate::transport::requests::RequestError;

const RETRY_MAX: Duration = Duration::from_secs(30 * 60);
/// Whoever asked for a letter waits so long; then it goes on by itself.
const FIRST_TIME: Duration = Duration::from_secs(5);
/// A supernode says so often that it wants more work; then its letter waits.
const ROUNDS: u8 = 4;
/// Bits that are worked for whoever has a card of ours, or wrote to us first.
const ANSWER_MAX: u8 = 20;
/// Tries between two looks whether the work is still wanted.
const SLICE: u64 = 4_096;

/// Why a letter was not left.
enum Kept {
    /// It costs so many bits of work.
    Costs(u8),
    /// Nobody took it.
    Unreachable(RequestError),
}

/// Work that ends with whoever waits for it.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl People {
    /// Deposits what is due, as long as the session lives. A new home means that everything may be tried again.
    pub async fn run_post(&self) {
        tokio::join!(
            self.run_letters(To::Known, &self.post),
            self.run_letters(To::Strangers, &self.paid_post)
        );
    }

    async fn run_letters(&self, to: To, woken: &Notify) {
        loop {
            let due = self.ctx.db.read(move |tx| letters::due(tx, to, wall_ms()));
            for letter in &due.await.unwrap_or_default() {
                self.post_one(letter, None).await;
            }
            let next = self.ctx.db.read(move |tx| letters::next_due(tx, to));
            let wait = next.await.ok().flatten().map_or(RETRY_MAX, |at| {
                Duration::from_millis(at.saturating_sub(wall_ms()).max(50))
            });
            tokio::select! {
                () = woken.notified() => {}
                () = tokio::time::sleep(wait.min(RETRY_MAX)) => {}
            }
        }
    }

    /// There may be a letter that was not there before.
    pub fn wake_post(&self) {
        self.post.notify_one();
        self.paid_post.notify_one();
    }

    /// The post may go out again now.
    pub async fn retry_post(&self) {
        let _ = self
            .ctx
            .db
            .write(|tx| letters::retry_all(tx, wall_ms()))
            .await;
        self.wake_post();
    }

    /// Tries once, now, what waits for one account.
    pub(super) async fn post_to(&self, account: AccountId) {
        let waiting = self.ctx.db.read(move |tx| letters::to(tx, account)).await;
        if let Ok([letter]) = waiting.as_deref() {
            self.post_one(letter, Some(FIRST_TIME)).await;
        }
        self.wake_post();
    }

    async fn post_one(&self, letter: &Letter, patience: Option<Duration>) {
        let delivering = self.deliver(letter);
        let result = match patience {
            // What is not done by then is begun anew by the post: it is no failure.
            Some(patience) => match tokio::time::timeout(patience, delivering).await {
                Ok(result) => result,
                Err(_) => return,
            },
            None => delivering.await,
        };
        let result = result.inspect_err(|failure| debug!(%failure, "a letter waits"));
        if letter.kind == LetterKind::Request {
            let trouble = result.as_ref().err().map(|failure| failure.message.clone());
            self.ctx.strangers.note_tried(letter.account, trouble);
        }
        self.note_tried(letter, result.is_ok()).await;
    }

    async fn note_tried(&self, letter: &Letter, left: bool) {
        let (number, attempts) = (letter.number, letter.attempts);
        let noted = self.ctx.db.write(move |tx| {
            if left {
                return letters::deposited(tx, number);
            }
            letters::failed(tx, number, wall_ms() + retry_after(attempts))
        });
        if let Err(error) = noted.await {
            debug!(%error, "the post could not be noted");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Leaves a letter at the first home of its recipient that takes it, for work if it has to be.
    async fn deliver(&self, letter: &Letter) -> Result<(), Failure> {
        let homes = self.homes_of(letter.account).await?;
        let (mut postage, mut done) = match letter.sealed.mark {
            Some(mark) => (Postage::Contact(mark), 0),
            None => (Postage::Work(self.work(letter, WORK_MIN).await?), WORK_MIN),
        };
        for _ in 0..ROUNDS {
            match self.leave(letter, &homes, (postage, done)).await {
                Ok(()) => return Ok(()),
                Err(Kept::Costs(bits)) if bits > done => {
                    postage = Postage::Work(self.work(letter, bits).await?);
                    done = bits;
                }
                Err(Kept::Costs(_)) => {
                    let why = "the work for it does not count there; perhaps this computer's clock is wrong";
                    return Err(undelivered(why));
                }
                Err(Kept::Unreachable(error)) => return Err(undelivered(&error.to_string())),
            }
        }
        Err(undelivered(
            "its price rose faster than this computer works",
        ))
    }

    async fn leave(
        &self,
        letter: &Letter,
        homes: &[SupernodeAddr],
        (postage, done): (Postage, u8),
    ) -> Result<(), Kept> {
        let request = Request::Deposit {
            account: letter.account,
            postage,
            envelope: letter.sealed.envelope.clone(),
        };
        let prices = Mutex::new(Vec::new());
        let (asked, request) = (&prices, &request);
        let leave = |supernode| async move {
            let answer = self.ctx.supernodes.ask(supernode, request).await;
            if let Err(RequestError::Refused(Refusal::Work(bits))) = answer {
                let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.push(bits);
            }
            answer
        };
        let left = staggered(homes, leave, DialError::NoAddress.into()).await;
        let prices = prices.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (left, least_above(&prices, done)) {
            (Ok(_), _) => Ok(()),
            (Err(_), Some(bits)) => Err(Kept::Costs(bits)),
            (Err(error), None) => Err(Kept::Unreachable(error)),
        }
    }

    /// Work for a letter, on a thread of its own, until it is found or nobody waits for it.
    async fn work(&self, letter: &Letter, bits: u8) -> Result<Work, Failure> {
        is_worth(letter.kind, bits)?;
        let _told = self.ctx.strangers.note_working(letter.account, bits);
        let wanted = Wanted(Arc::new(AtomicBool::new(true)));
        let still = Arc::clone(&wanted.0);
        let mut search = Search::new(letter.account, &letter.sealed.envelope, bits, wall_s());
        let searching = tokio::task::spawn_blocking(move || {
            while still.load(Ordering::Relaxed) {
                match search.step(SLICE) {
                    Step::Found(work) => return Some(work),
                    Step::Going => {}
                    Step::Over => return None,
                }
            }
            None
        });
        let found = searching.await.ok().flatten();
        found.ok_or_else(|| undelivered("the work for it did not come to an end"))
    }

    /// Where somebody's letters are left.
    async fn homes_of(&self, account: AccountId) -> Result<Vec<SupernodeAddr>, Failure> {
        let contact = self.ctx.db.read(move |tx| contacts::get(tx, account)).await;
        // The book knows where a contact was seen on the LAN; the row is all there is while a request waits.
        let person = self.ctx.book.person(account);
        let doors = person.as_ref().map_or(&[][..], |person| person.doors());
        let seen = doors.iter().flat_map(|door| door.home.clone());
        let row = contact.map_err(store_failure)?;
        // A supernode that was only found on the local network keeps no letters: nobody would look for them there.
        let nearby = self.ctx.book.nearby();
        let mut homes = Vec::new();
        for home in seen.chain(row.into_iter().flat_map(|contact| contact.homes)) {
            if nearby.as_ref() != Some(&home) && !homes.contains(&home) {
                homes.push(home);
            }
        }
        // A registrar, or whoever asked one, is nobody's contact.
        if homes.is_empty()
            && let Some(record) = self.records.look_up(account).await
        {
            homes.clone_from(&record.record().home);
        }
        Ok(homes)
    }
}

/// Of several homes, the one that asks for least. One that asks for no more than was done already takes no work of ours; its
/// price counts only where there is no other.
fn least_above(prices: &[u8], done: u8) -> Option<u8> {
    let above = prices.iter().copied().filter(|price| *price > done);
    above.min().or_else(|| prices.iter().copied().max())
}

/// `POST-01`: nobody makes us work more than Starling asks of anybody; `POST-02`: nor more for an answer than it is worth.
fn is_worth(kind: LetterKind, bits: u8) -> Result<(), Failure> {
    let most = match kind {
        LetterKind::Request | LetterKind::Claim => WORK_MAX,
        _ => ANSWER_MAX,
    };
    if bits > most {
        let why = format!(
            "{bits} bits of work are asked for, more than the {most} that a letter like this is worth; it is tried again later"
        );
        return Err(undelivered(&why));
    }
    Ok(())
}

fn undelivered(why: &str) -> Failure {
    let sentence = format!("the letter could not be delivered: {why}");
    Failure::new(ErrorKind::Unreachable, sentence)
}

/// In milliseconds.
fn retry_after(attempts: u32) -> u64 {
    let wait = Duration::from_secs(2).saturating_mul(1 << attempts.min(10));
    u64::try_from(wait.min(RETRY_MAX).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn post_01_an_absurd_price_is_not_paid() {
        for kind in [LetterKind::Request, LetterKind::Claim] {
            assert!(is_worth(kind, WORK_MAX).is_ok());
            let refused = is_worth(kind, WORK_MAX + 1).expect_err("too much");
            assert!(refused.message.contains("27 bits of work"), "{refused}");
            assert!(is_worth(kind, u8::MAX).is_err());
        }
    }

    #[test]
    fn a_home_that_counts_no_work_does_not_hide_what_another_asks_for() {
        assert_eq!(least_above(&[], 0), None);
        assert_eq!(least_above(&[18, 16, 20], 0), Some(16));
        assert_eq!(least_above(&[18, 16, 20], 16), Some(18));
        assert_eq!(least_above(&[16], 16), Some(16), "no more than was done");
    }

    #[test]
    fn post_02_answers_are_worth_less() {
        for kind in [LetterKind::Accept, LetterKind::Update, LetterKind::Verdict] {
            assert!(is_worth(kind, ANSWER_MAX).is_ok());
            assert!(is_worth(kind, ANSWER_MAX + 1).is_err());
        }
    }
}
