//! Meeting: two contacts tell each other over their front doors where their inner endpoints are (spec page `peer.md`).

use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_wire::alpn;
use starling_wire::ids::AccountId;
use starling_wire::peer::{InnerAddr, LINK_FRAME_MAX, LinkFrame};
use starling_wire::permissions::Permission;
use tracing::debug;

use crate::context::Context;
use crate::drivers::profiles;
use crate::transport::dial::DialError;
use crate::transport::inner::InnerLease;
use crate::transport::stream;

const MEET_TIME: Duration = Duration::from_secs(8);

/// Asks a contact where its inner endpoint is; ours is bound and told.
pub async fn ask(
    ctx: &Arc<Context>,
    account: AccountId,
) -> Result<(InnerLease, InnerAddr), DialError> {
    let person = ctx.book.person(account).ok_or(DialError::NoAddress)?;
    let lease = ctx.lease_for(account).await;
    let lease = lease.map_err(|_| DialError::NoAddress)?;
    let mut last = DialError::NoAddress;
    for door in person.doors() {
        let connection = match ctx.door.dial(door, alpn::LINK).await {
            Ok(connection) => connection,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let question = LinkFrame::Meet {
            inner: lease.address(),
        };
        let answer = tokio::time::timeout(MEET_TIME, exchange(&connection, &question)).await;
        connection.close(0u32.into(), b"met");
        if let Ok(Some(LinkFrame::Met { inner })) = answer
            && inner.fits()
        {
            admit(ctx, account, &inner);
            return Ok((lease, inner));
        }
        last = DialError::TimedOut;
    }
    Err(last)
}

async fn exchange(connection: &Connection, question: &LinkFrame) -> Option<LinkFrame> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    stream::write(&mut send, question).await.ok()?;
    send.finish().ok()?;
    stream::read(&mut receive, LINK_FRAME_MAX)
        .await
        .ok()
        .flatten()
}

/// Answers a contact's question, which may also be one about profiles.
pub async fn answer(ctx: Arc<Context>, account: AccountId, connection: Connection) {
    let talk = async {
        let question = async {
            let (send, mut receive) = connection.accept_bi().await.ok()?;
            let frame = stream::read(&mut receive, LINK_FRAME_MAX).await.ok()??;
            Some((send, receive, frame))
        };
        let question = tokio::time::timeout(MEET_TIME, question).await.ok()??;
        let (mut send, inner) = match question {
            (send, _, LinkFrame::Meet { inner }) => (send, inner),
            (send, receive, LinkFrame::Profile) => {
                profiles::answer(&ctx, account, &connection, (send, receive)).await;
                return Some(());
            }
            _ => return None,
        };
        // CONTACT-05: who may neither call nor send files has nothing to connect to.
        let may = |what| ctx.abouts.allows(account, what);
        if !may(Permission::Call) && !may(Permission::Files) {
            debug!(reason = "not permitted", "did not answer a question");
            connection.close(1u32.into(), b"busy");
            return Some(());
        }
        if !inner.fits() {
            return None;
        }
        let lease = ctx.lease_for(account).await.ok()?;
        admit(&ctx, account, &inner);
        stream::write(
            &mut send,
            &LinkFrame::Met {
                inner: lease.address(),
            },
        )
        .await
        .ok()?;
        send.finish().ok()?;
        // The asker closes; until then the lease keeps the endpoint bound.
        let _ = tokio::time::timeout(MEET_TIME, connection.closed()).await;
        Some(())
    };
    if talk.await.is_none() {
        debug!(
            reason = "malformed",
            "a contact's question for the inner endpoint was not understood"
        );
    }
}

/// From now on this inner endpoint may connect, and its relay is known. `PEER-01`: unless it names impossible places.
pub fn admit(ctx: &Context, account: AccountId, inner: &InnerAddr) {
    if !inner.fits() {
        return;
    }
    if let Some(home) = &inner.home {
        ctx.pins.learn(home);
    }
    ctx.inner.expect(account, inner);
}
