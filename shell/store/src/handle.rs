//! The store behind one writer thread. Requests that arrive while a commit runs are committed together by the next one
//! (group commit), so many small writes share one wait for the disk. Nobody is answered before the commit that holds
//! the write is on disk.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::database::{self, Store};
use crate::error::StoreError;
use crate::key::KeySource;
use crate::tx::Tx;

/// Requests in one commit: bounds how long the first of them waits for the others.
const BATCH_MAX: usize = 1024;

/// A shared store. Clones are the same store; when the last one is dropped, what was asked before is finished first.
#[derive(Clone)]
pub struct StoreHandle {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    reader: Mutex<Connection>,
    key: KeySource,
}

impl StoreHandle {
    /// Starts the writer thread.
    pub fn start(store: Store) -> Result<Self, StoreError> {
        let Store {
            writer,
            reader,
            key,
        } = store;
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || serve(&writer, &queue))
            .map_err(|error| StoreError::io("cannot start the store's thread", &error))?;
        Ok(Self {
            inner: Arc::new(Inner {
                jobs: Some(jobs),
                thread: Some(thread),
                reader: Mutex::new(reader),
                key,
            }),
        })
    }

    /// Where the key comes from.
    pub fn key(&self) -> &KeySource {
        &self.inner.key
    }

    /// Queues a write. `done` is called on the writer thread, after the commit, and must not block; what `work` did is
    /// undone if it fails, without touching the writes beside it.
    pub fn run<T, F, D>(&self, work: F, done: D)
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
        D: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        let task = Box::new(Task {
            work: Some(work),
            outcome: None,
            done,
        });
        let refused = match &self.inner.jobs {
            Some(jobs) => jobs.send(task).err().map(|error| error.0),
            None => Some(task as Box<dyn Job>),
        };
        if let Some(job) = refused {
            job.finish(Err(StoreError::Closed));
        }
    }

    /// Queues a write and waits for its commit. Blocks the calling thread for at least one wait for the disk.
    pub fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = mpsc::sync_channel(1);
        self.run(work, move |result| {
            // The caller waits below; it can only be gone if its thread was ended.
            let _ = answer.send(result);
        });
        answered.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Reads what is committed, on the calling thread; never waits for the disk's writes.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // A reader that panicked left nothing half done: its snapshot was dropped.
        let reader = self
            .inner
            .reader
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        database::read(&reader, work)
    }
}

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHandle")
            .field("key", &self.inner.key)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.jobs = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        // An answer may hold the last handle; the writer cannot wait for itself.
        if thread.thread().id() != thread::current().id() {
            let _ = thread.join();
        }
    }
}

/// A queued write whose types were erased.
trait Job: Send {
    /// Does the work inside the open transaction.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError>;
    /// Answers, with the commit's outcome.
    fn finish(self: Box<Self>, commit: Result<(), StoreError>);
}

struct Task<T, F, D> {
    work: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    done: D,
}

impl<T, F, D> Job for Task<T, F, D>
where
    T: Send,
    F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send,
    D: FnOnce(Result<T, StoreError>) + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        let work = self.work.take().ok_or(StoreError::Closed)?;
        // A bug in one write takes neither the others' with it nor the writer.
        let done = catch_unwind(AssertUnwindSafe(|| work(tx)));
        match done.unwrap_or_else(|_| Err(StoreError::Internal("a write panicked".to_owned()))) {
            Ok(value) => {
                self.outcome = Some(Ok(value));
                Ok(())
            }
            Err(error) => {
                self.outcome = Some(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn finish(self: Box<Self>, commit: Result<(), StoreError>) {
        let result = match (self.outcome, commit) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        (self.done)(result);
    }
}

fn serve(writer: &Connection, queue: &mpsc::Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(BATCH_MAX - 1));
        let outcome = commit(writer, &mut batch);
        for job in batch {
            job.finish(outcome.clone());
        }
    }
}

/// All jobs in one transaction, each in a savepoint of its own.
fn commit(writer: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let tx = Tx::new(writer);
    tx.execute("BEGIN IMMEDIATE", ())?;
    let outcome = run_all(writer, &tx, batch).and_then(|()| tx.execute("COMMIT", ()).map(drop));
    tx.ended(outcome.is_ok());
    if outcome.is_err() && !writer.is_autocommit() {
        tx.execute("ROLLBACK", ())?;
    }
    outcome
}

fn run_all(writer: &Connection, tx: &Tx<'_>, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    for job in batch {
        tx.execute("SAVEPOINT job", ())?;
        let mark = tx.mark();
        if let Err(error) = job.run(tx) {
            // A full disk may have made SQLite take back everything: then nobody's write stands.
            if writer.is_autocommit() {
                return Err(error);
            }
            tx.execute("ROLLBACK TO job", ())?;
            tx.undone(mark);
        }
        tx.execute("RELEASE job", ())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings;

    fn put(number: u32) -> impl FnOnce(&Tx<'_>) -> Result<(), StoreError> + Send + 'static {
        move |tx| settings::set(tx, &number.to_string(), &"x".repeat(16 * 1024))
    }

    #[test]
    fn a_commit_waits_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let pragma = |name| {
            store
                .writer
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
        };
        assert_eq!(pragma("synchronous"), Ok(2.into()), "FULL");
        assert_eq!(pragma("journal_mode"), Ok("wal".to_owned().into()));
        assert_eq!(pragma("foreign_keys"), Ok(1.into()));
        let version: String = store
            .writer
            .pragma_query_value(None, "cipher_version", |row| row.get(0))
            .unwrap();
        assert!(version.starts_with('4'), "{version}");
    }

    #[test]
    fn what_is_kept_in_memory_hears_how_its_write_ended_before_the_one_who_asked() {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreHandle::start(Store::open(dir.path()).unwrap()).unwrap();
        let (told, heard) = mpsc::channel();
        let ends = |names: [&'static str; 2], outcome: Result<(), StoreError>| {
            let told = told.clone();
            let work = move |tx: &Tx<'_>| {
                for name in names {
                    let told = told.clone();
                    tx.at_end(move |stands| told.send((name, stands)).unwrap());
                }
                outcome
            };
            let _ = store.write(work);
        };
        ends(["a", "b"], Ok(()));
        ends(["c", "d"], Err(StoreError::Damaged));
        let all: Vec<_> = heard.try_iter().collect();
        let expected = [("a", true), ("b", true), ("d", false), ("c", false)];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_write_that_panics_is_undone_and_the_next_one_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreHandle::start(Store::open(dir.path()).unwrap()).unwrap();
        let broken = store.write(|tx| {
            put(1)(tx)?;
            // A bug.
            let missing = settings::get(tx, "missing")?;
            Ok(missing.expect("a setting").len())
        });
        assert!(matches!(broken, Err(StoreError::Internal(_))), "{broken:?}");
        store.write(put(2)).unwrap();
        let found = |number: &str| store.read(|tx| settings::get(tx, number)).unwrap();
        assert_eq!((found("1").is_some(), found("2").is_some()), (false, true));
    }

    /// SQLite reports a database that may not grow exactly as it reports a full disk.
    #[test]
    fn on_a_full_disk_nothing_is_lost_and_writing_goes_on_later() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.grow_by(50).unwrap();
        let store = StoreHandle::start(store).unwrap();
        let stored = (0..100)
            .take_while(|number| match store.write(put(*number)) {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error, StoreError::Full);
                    false
                }
            })
            .count();
        assert!((1..100).contains(&stored), "{stored}");
        // Many at once: who was told that it is stored finds it, who was told no does not.
        let (done, answers) = mpsc::channel();
        for number in 1_000..1_050 {
            let done = done.clone();
            let small = move |tx: &Tx<'_>| settings::set(tx, &number.to_string(), "small");
            match number % 2 {
                0 => store.run(small, move |result| done.send((number, result)).unwrap()),
                _ => store.run(put(number), move |result| {
                    done.send((number, result)).unwrap()
                }),
            }
        }
        for _ in 0..50 {
            let (number, result) = answers.recv_timeout(Duration::from_secs(20)).unwrap();
            let found = store.read(|tx| settings::get(tx, &number.to_string()));
            assert_eq!(found.unwrap().is_some(), result.is_ok(), "{number}");
        }
        drop(store);
        let mut store = Store::open(dir.path()).unwrap();
        for number in 0..stored {
            let found = store.read(|tx| settings::get(tx, &number.to_string()));
            assert!(found.unwrap().is_some(), "{number}");
        }
        // The user made room.
        store.write(put(9_999)).unwrap();
    }
}
