//! Tasks of which each ends with a word. One that panics ends with the word for "it came to nothing", so that nobody waits for it
//! for ever.

use std::collections::HashMap;
use std::future::Future;

use tokio::task::{Id, JoinSet};
use tracing::error;

/// Those that are under way.
#[derive(Debug)]
pub(super) struct Errands<T> {
    tasks: JoinSet<T>,
    /// What each comes to if it fails.
    otherwise: HashMap<Id, T>,
}

impl<T> Default for Errands<T> {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            otherwise: HashMap::new(),
        }
    }
}

impl<T: Send + 'static> Errands<T> {
    /// Begins one.
    pub(super) fn spawn(&mut self, otherwise: T, errand: impl Future<Output = T> + Send + 'static) {
        let id = self.tasks.spawn(errand).id();
        self.otherwise.insert(id, otherwise);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Waits for the next that ends; nothing where there is none.
    pub(super) async fn next(&mut self) -> Option<T> {
        match self.tasks.join_next_with_id().await? {
            Ok((id, word)) => {
                self.otherwise.remove(&id);
                Some(word)
            }
            Err(failed) => {
                error!(%failed, "a notice failed; please report this");
                self.otherwise.remove(&failed.id())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn presence_32_a_notice_whose_task_fails_counts_as_not_heard() {
        let mut errands = Errands::default();
        errands.spawn(false, async { true });
        assert_eq!(errands.next().await, Some(true));
        errands.spawn(false, async { panic!("on purpose") });
        assert_eq!(errands.len(), 1);
        assert_eq!(errands.next().await, Some(false));
        assert_eq!(errands.next().await, None);
        assert!(errands.otherwise.is_empty());
    }
}
