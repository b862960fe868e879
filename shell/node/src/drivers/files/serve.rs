//! Answering one pull of a contact: the verdict is the machine's, the bytes come from the file that was offered.

use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{RecvStream, SendStream};
use starling_protocol::transfer::plan::GROUP_BYTES;
use starling_store::transfers::Transfer;
use starling_wire::file::{FILE_FRAME_MAX, Pull, PullAnswer};

use super::outboard_path;
use super::show::Show;
use crate::bulk::index::Indexed;
use crate::bulk::{BulkError, serve};
use crate::traffic::Purpose;
use crate::transport::stream;

/// An opened stream says what it wants within this time.
const PULL_TIME: Duration = Duration::from_secs(10);

/// What a stream of the contact wants; `None` if it does not say.
pub async fn asked(receive: &mut RecvStream) -> Option<Pull> {
    let pull = stream::read::<Pull>(receive, FILE_FRAME_MAX);
    tokio::time::timeout(PULL_TIME, pull).await.ok()?.ok()?
}

/// Says no.
pub async fn refuse(mut send: SendStream, answer: PullAnswer) {
    // Whoever is gone needs no answer.
    if stream::write(&mut send, &answer).await.is_ok() {
        let _ = send.finish();
    }
}

/// Says yes and sends the bytes, unless the file is not the one that was offered.
pub async fn serve_pull(
    show: &Show,
    row: Transfer,
    pull: Pull,
    mut send: SendStream,
) -> Result<(), BulkError> {
    let indexed = Indexed {
        path: row.path.clone().ok_or(BulkError::Vanished)?,
        outboard: outboard_path(&show.ctx, row.id),
        root: row.root,
        size: row.size,
    };
    let opened = tokio::task::spawn_blocking(move || indexed.open());
    let source = match opened.await.map_err(BulkError::task)? {
        Ok(source) => source,
        Err(error) => {
            refuse(send, PullAnswer::Changed).await;
            return Err(error);
        }
    };
    stream::write(&mut send, &PullAnswer::Bytes)
        .await
        .map_err(|_| BulkError::Lost)?;
    // What comes before the first pull of a connection is there already: pulls come in order.
    show.begin(&row, (pull.start * GROUP_BYTES).min(row.size));
    let traffic = Arc::clone(&show.ctx.traffic);
    serve::serve(&mut send, source, pull.start..pull.end, |count| {
        traffic.sent(Purpose::Files, count);
        show.moved(row.id, count);
    })
    .await
}
