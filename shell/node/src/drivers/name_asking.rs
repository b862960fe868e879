//! Asking supernodes about the registrar's log. Who asks verifies what he is told.

use std::sync::Arc;

use starling_wire::ids::NetworkId;
use starling_wire::name_log::{Page, VerifiedPage};
use starling_wire::name_query::{NameHead, NameQuestion, NameReply};
use starling_wire::record::registrar::Registrar;
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::task::JoinSet;

use crate::context::Context;
use crate::transport::requests::RequestError;

/// Supernodes that are asked at most.
const ASKED: usize = 8;

/// Who answered, and what.
pub(super) type Heard = (SupernodeAddr, NameHead);

/// One question to one supernode.
pub(super) async fn ask(
    ctx: &Context,
    supernode: &SupernodeAddr,
    question: NameQuestion,
) -> Result<NameReply, RequestError> {
    ctx.pins.learn(supernode);
    let request = Request::Names(question);
    match ctx.supernodes.ask(supernode, &request).await? {
        Answer::Names(reply) => Ok(reply),
        _ => Err(RequestError::Unexpected),
    }
}

/// Those that are asked: the homes, then others that are known.
pub(super) fn supernodes(ctx: &Context) -> Vec<SupernodeAddr> {
    let mut list = ctx.home_list();
    for other in ctx.homes().supernodes {
        if list.len() < ASKED && !list.iter().any(|one| one.id == other.id) {
            list.push(other);
        }
    }
    list
}

/// The same question to all of them at once; those that answered.
pub(super) async fn ask_all(
    ctx: &Arc<Context>,
    supernodes: &[SupernodeAddr],
    question: &NameQuestion,
) -> Vec<(SupernodeAddr, NameReply)> {
    let mut asked = JoinSet::new();
    for supernode in supernodes.iter().cloned() {
        let (ctx, question) = (Arc::clone(ctx), question.clone());
        asked.spawn(async move {
            let reply = ask(&ctx, &supernode, question).await.ok()?;
            Some((supernode, reply))
        });
    }
    let answered = asked.join_all().await;
    answered.into_iter().flatten().collect()
}

/// How far their copies go.
pub(super) async fn heads(ctx: &Arc<Context>, supernodes: &[SupernodeAddr]) -> Vec<Heard> {
    let replies = ask_all(ctx, supernodes, &NameQuestion::Head).await;
    let heads = replies.into_iter().filter_map(|(from, reply)| match reply {
        NameReply::Head(head) => Some((from, *head)),
        _ => None,
    });
    heads.collect()
}

/// A part of the log, verified.
pub(super) async fn page(
    ctx: &Context,
    from: &SupernodeAddr,
    begin: u64,
    network: NetworkId,
) -> Option<VerifiedPage> {
    match ask(ctx, from, NameQuestion::From(begin)).await {
        Ok(NameReply::Page(Some(page))) => page.verify(network).ok(),
        _ => None,
    }
}

/// Brings entries; how far the copy goes then.
pub(super) async fn bring(
    ctx: &Context,
    to: &SupernodeAddr,
    page: Page,
) -> Result<NameHead, RequestError> {
    match ask(ctx, to, NameQuestion::Entries(Box::new(page))).await? {
        NameReply::Head(head) => Ok(*head),
        _ => Err(RequestError::Unexpected),
    }
}

/// The registrar that the network's owner appointed last, of those that were told.
pub(super) fn office(heads: &[Heard], network: NetworkId) -> Option<Registrar> {
    let offices = heads.iter().filter_map(|(_, head)| head.office.as_ref());
    let real = offices.filter(|office| office.is_appointed_in(network));
    real.max_by_key(|office| (office.epoch, office.until))
        .cloned()
}
