//! Files dropped on a page. A browser hides their paths, so the page streams them here (`PUT upload?name=...&who=...`), into
//! the profile (folders 0700, files 0600), and the node is told to send that copy. The copy is removed when the transfer ends.
//!
//! While the program runs a copy goes only for a reason of its own: its body broke off, the node said no, its transfer is
//! over. What nobody knows is looked for once, among what lay there at the start, so a copy that is being received, read by
//! the node or chosen as a backup is never mistaken for one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use starling_control::view::{Transfer, TransferState};
use tokio::fs::{DirBuilder, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::task::{JoinHandle, spawn_blocking};

use super::secret::Secret;

/// A name's limit on common file systems is 255 bytes.
const NAME_MAX: usize = 200;
/// A body that stands still this long was given up.
const STALL: Duration = Duration::from_secs(60);

/// Where uploads lie.
#[derive(Debug)]
pub struct Uploads {
    folder: PathBuf,
    /// What an earlier run left.
    left: Mutex<Vec<PathBuf>>,
}

impl Uploads {
    /// Uploads under `folder`; no other process uses it.
    pub fn new(folder: PathBuf) -> Self {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let left = Mutex::new(entries.map(|entry| entry.path()).collect());
        Self { folder, left }
    }

    /// Stores a request's body under (the safe form of) `name`. Nothing is left of a body that breaks off.
    pub async fn receive(&self, name: &str, body: Body) -> io::Result<PathBuf> {
        let label = Secret::fresh()?;
        let folder = self.folder.join(&label.text()[..16]);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .await?;
        let mut unfinished = Unfinished(Some(folder.clone()));
        let path = folder.join(safe_name(name));
        store(&path, body.into_data_stream()).await?;
        unfinished.0 = None;
        Ok(path)
    }

    /// Removes one upload; other paths are left alone. Need not be waited for.
    pub fn discard(&self, path: &Path) -> Option<JoinHandle<()>> {
        let folder = path.parent()?;
        (folder.parent() == Some(self.folder.as_path())).then(|| remove(folder.to_owned()))
    }

    /// Removes an upload whose transfer is over.
    pub fn settle(&self, transfer: &Transfer) -> Option<JoinHandle<()>> {
        let over = matches!(
            transfer.state,
            TransferState::Done | TransferState::Cancelled | TransferState::Failed
        );
        match &transfer.path {
            Some(path) if transfer.outgoing && over => self.discard(Path::new(path)),
            _ => None,
        }
    }

    /// Removes what an earlier run left and none of these transfers needs.
    pub fn sweep(&self, transfers: &[Transfer]) -> Vec<JoinHandle<()>> {
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        let needed: Vec<&Path> = transfers
            .iter()
            .filter_map(|transfer| Path::new(transfer.path.as_deref()?).parent())
            .collect();
        left.into_iter()
            .filter(|folder| !needed.contains(&folder.as_path()))
            .map(remove)
            .collect()
    }
}

/// A folder whose body is still arriving; dropped so, it goes.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(folder) = self.0.take() {
            remove(folder);
        }
    }
}

/// Gigabytes take a while to remove.
fn remove(folder: PathBuf) -> JoinHandle<()> {
    spawn_blocking(move || {
        // Gone already is as good.
        let _ = fs::remove_dir_all(folder);
    })
}

async fn store(path: &Path, mut chunks: BodyDataStream) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .await?;
    loop {
        let next = tokio::time::timeout(STALL, chunks.next()).await;
        match next.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? {
            Some(chunk) => file.write_all(&chunk.map_err(io::Error::other)?).await?,
            None => return file.flush().await,
        }
    }
}

/// The last component, without control characters and leading dots, not too long, not empty.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    let clean = clean.trim().trim_start_matches('.');
    let mut end = clean.len().min(NAME_MAX);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    match &clean[..end] {
        "" => "file".into(),
        kept => kept.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn names_stay_inside_their_folder() {
        assert_eq!(safe_name("holiday photo.jpg"), "holiday photo.jpg");
        assert_eq!(safe_name("../../etc/passwd"), "passwd");
        assert_eq!(safe_name("C:\\windows\\a.txt"), "a.txt");
        assert_eq!(safe_name(".bashrc"), "bashrc");
        assert_eq!(safe_name("a\0b\nc"), "abc");
        for nothing in ["", "..", "/", "...", "a/"] {
            assert_eq!(safe_name(nothing), "file");
        }
        assert!(safe_name(&"ü".repeat(500)).len() <= NAME_MAX);
    }

    /// An outgoing transfer of `path`.
    fn sent(path: &Path, state: TransferState) -> Transfer {
        Transfer {
            outgoing: true,
            path: Some(path.display().to_string()),
            state,
            ..Transfer::default()
        }
    }

    async fn received(uploads: &Uploads, name: &str) -> PathBuf {
        let path = uploads.receive(name, Body::from("hello")).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
        path
    }

    /// Everything below `folder`, once what is being removed is gone: at most a second.
    async fn rest(folder: &Path, expected: usize) -> usize {
        let count = || fs::read_dir(folder).map_or(0, Iterator::count);
        for _ in 0..50 {
            if count() == expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        count()
    }

    #[tokio::test]
    async fn an_upload_lives_until_its_transfer_ends() {
        let home = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(home.path().join("uploads"));
        let path = received(&uploads, "note.txt").await;
        assert!(
            uploads
                .settle(&sent(&path, TransferState::Running))
                .is_none()
        );
        let removed = uploads.settle(&sent(&path, TransferState::Done));
        removed.unwrap().await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_what_an_earlier_run_left_is_looked_through() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("uploads");
        let earlier = Uploads::new(folder.clone());
        let unknown = received(&earlier, "unknown.txt").await;
        let waiting = received(&earlier, "waiting.txt").await;

        let uploads = Uploads::new(folder);
        let fresh = received(&uploads, "backup.starling").await;
        let transfers = [sent(&waiting, TransferState::Offered)];
        for removed in uploads.sweep(&transfers) {
            removed.await.unwrap();
        }
        assert!(!unknown.exists());
        assert!(waiting.exists(), "its transfer goes on");
        assert!(fresh.exists(), "of this run");
        assert!(uploads.sweep(&[]).is_empty(), "once");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_leaves_nothing_and_nothing_else_is_touched() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("uploads");
        let uploads = Uploads::new(folder.clone());
        let parts = [
            Ok(Bytes::from("half")),
            Err(io::Error::other("the browser left")),
        ];
        let body = Body::from_stream(futures_util::stream::iter(parts));
        assert!(uploads.receive("half.bin", body).await.is_err());
        assert_eq!(rest(&folder, 0).await, 0);

        let own = home.path().join("letter.txt");
        fs::write(&own, "mine").unwrap();
        assert!(uploads.settle(&sent(&own, TransferState::Done)).is_none());
        assert!(own.exists());
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("uploads");
        let uploads = Uploads::new(folder.clone());
        let start = futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from("half"))]);
        let body = Body::from_stream(start.chain(futures_util::stream::pending()));
        let receiving = uploads.receive("half.bin", body);
        let given_up = tokio::time::timeout(Duration::from_millis(200), receiving).await;
        assert!(given_up.is_err());
        assert_eq!(rest(&folder, 0).await, 0);
    }
}
