//! The store from async code: work goes to the store's own thread and is durable when the future is ready.

use starling_store::{StoreError, StoreHandle, Tx};
use tokio::sync::oneshot;

/// The profile's store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db(StoreHandle);

impl Db {
    /// Wraps the running store.
    pub const fn new(handle: StoreHandle) -> Self {
        Self(handle)
    }

    /// Where the store's key lies, in words.
    pub fn key_words(&self) -> String {
        self.0.key().describe()
    }

    /// Runs `work` in a transaction; `Ok` means it is on disk. Writes asked for at once share one commit. They are done in the
    /// order of these calls, whoever waits for them and when.
    pub fn write<T, F>(
        &self,
        work: F,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.0.run(work, move |result| {
            let _ = sender.send(result);
        });
        async move { receiver.await.unwrap_or(Err(StoreError::Closed)) }
    }

    /// The same; `then` sees the outcome on the store's own thread, after this commit and before any later one. It must
    /// not block.
    pub async fn write_then<T, U, F, D>(&self, work: F, then: D) -> Result<U, StoreError>
    where
        T: Send + 'static,
        U: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
        D: FnOnce(T) -> U + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.0.run(work, move |result| {
            let _ = sender.send(result.map(then));
        });
        receiver.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs `work` on a consistent view of what is committed.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let handle = self.0.clone();
        tokio::task::spawn_blocking(move || handle.read(work))
            .await
            .unwrap_or(Err(StoreError::Closed))
    }
}
