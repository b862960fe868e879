//! Files dropped on a page. A browser hides their paths, so the page streams them here (`PUT upload?name=...&who=...`), into
//! the profile (folders 0700, files 0600), and the node is told to send that copy. The copy is removed when the transfer ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use starling_control::view::{Transfer, TransferState};
use tokio::fs::{DirBuilder, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::secret::Secret;

/// A name's limit on common file systems is 255 bytes.
const NAME_MAX: usize = 200;
/// A body that stands still this long was given up.
const STALL: Duration = Duration::from_secs(60);

/// Where uploads lie.
#[derive(Debug, Clone)]
pub struct Uploads {
    folder: PathBuf,
}

impl Uploads {
    /// Uploads under `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
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
        let path = folder.join(safe_name(name));
        let stored = store(&path, body.into_data_stream()).await;
        if stored.is_err() {
            self.discard(&path);
        }
        stored.map(|()| path)
    }

    /// Removes one upload; other paths are left alone.
    pub fn discard(&self, path: &Path) {
        let Some(folder) = path.parent() else { return };
        if folder.parent() == Some(self.folder.as_path()) {
            // Gone already is as good.
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// Removes an upload whose transfer is over.
    pub fn settle(&self, transfer: &Transfer) {
        let over = matches!(
            transfer.state,
            TransferState::Done | TransferState::Cancelled | TransferState::Failed
        );
        if let (true, true, Some(path)) = (transfer.outgoing, over, &transfer.path) {
            self.discard(Path::new(path));
        }
    }

    /// Removes what no transfer needs any more: left by a run that was killed.
    pub fn sweep(&self, transfers: &[Transfer]) {
        transfers.iter().for_each(|transfer| self.settle(transfer));
        let needed: Vec<&Path> = transfers
            .iter()
            .filter_map(|transfer| Path::new(transfer.path.as_deref()?).parent())
            .collect();
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            if !needed.contains(&entry.path().as_path()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
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

    #[tokio::test]
    async fn an_upload_lives_until_its_transfer_ends() {
        let home = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(home.path().join("uploads"));
        let path = uploads
            .receive("note.txt", Body::from("hello"))
            .await
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
        let mut transfer = Transfer {
            outgoing: true,
            path: Some(path.display().to_string()),
            state: TransferState::Running,
            ..Transfer::default()
        };
        uploads.sweep(std::slice::from_ref(&transfer));
        assert!(path.exists());
        transfer.state = TransferState::Done;
        uploads.settle(&transfer);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_leaves_nothing_and_nothing_else_is_touched() {
        let home = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(home.path().join("uploads"));
        let parts = [
            Ok(Bytes::from("half")),
            Err(io::Error::other("the browser left")),
        ];
        let body = Body::from_stream(futures_util::stream::iter(parts));
        assert!(uploads.receive("half.bin", body).await.is_err());
        assert_eq!(
            fs::read_dir(home.path().join("uploads")).unwrap().count(),
            0
        );

        let own = home.path().join("letter.txt");
        fs::write(&own, "mine").unwrap();
        uploads.settle(&Transfer {
            outgoing: true,
            path: Some(own.display().to_string()),
            state: TransferState::Done,
            ..Transfer::default()
        });
        assert!(own.exists());
    }
}
