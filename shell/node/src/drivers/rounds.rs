//! Work for one contact that may take long: one round at a time for each contact, and none waits for another's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use starling_wire::ids::AccountId;

/// Contacts that have a round, and whether they want another after it.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Arc<Mutex<BTreeMap<AccountId, bool>>>);

impl Rounds {
    /// Does `work` for a contact, beside everything else. While it is being done, a further wish means once more
    /// afterwards: the last round begins after the last wish.
    pub fn begin<W, F>(&self, account: AccountId, work: W)
    where
        W: Fn() -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        {
            let mut rounds = self.lock();
            if let Some(again) = rounds.get_mut(&account) {
                *again = true;
                return;
            }
            rounds.insert(account, false);
        }
        let rounds = self.clone();
        tokio::spawn(async move {
            loop {
                work().await;
                if !rounds.goes_on(account) {
                    return;
                }
            }
        });
    }

    fn goes_on(&self, account: AccountId) -> bool {
        let mut rounds = self.lock();
        match rounds.get_mut(&account) {
            Some(again) if *again => {
                *again = false;
                true
            }
            _ => {
                rounds.remove(&account);
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountId, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;

    const ALICE: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);

    #[tokio::test]
    async fn a_slow_contact_has_one_round_at_a_time_and_holds_nobody_up() {
        let rounds = Rounds::default();
        let gate = Arc::new(Semaphore::new(0));
        let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
        let slow = |count: &Arc<AtomicUsize>| {
            let (gate, count) = (Arc::clone(&gate), Arc::clone(count));
            move || {
                let (gate, count) = (Arc::clone(&gate), Arc::clone(&count));
                async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    gate.acquire().await.expect("it is open").forget();
                }
            }
        };
        for _ in 0..100 {
            rounds.begin(ALICE, slow(&counts[0]));
        }
        let bobs = Arc::clone(&counts[1]);
        rounds.begin(BOB, move || {
            let bobs = Arc::clone(&bobs);
            async move {
                bobs.fetch_add(1, Ordering::SeqCst);
            }
        });
        let seen = || counts.each_ref().map(|count| count.load(Ordering::SeqCst));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(seen(), [1, 1]);
        gate.add_permits(10);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(seen(), [2, 1], "all further wishes are one");
        assert!(rounds.lock().is_empty());
    }
}
