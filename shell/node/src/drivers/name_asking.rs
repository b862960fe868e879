//! Asking supernodes about the registrar's log. Who asks verifies what he is told.

use std::sync::Arc;
use std::time::Duration;

use starling_wire::ids::NetworkId;
use starling_wire::name_log::VerifiedPage;
use starling_wire::name_query::{NameHead, NameQuestion, NameReply};
use starling_wire::record::registrar::Registrar;
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::transport::requests::RequestError;

/// Supernodes that are asked at most.
const ASKED: usize = 8;
/// One exchange, with the dial before it.
const ASK_TIME: Duration = Duration::from_secs(8);

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
    let asked = tokio::time::timeout(ASK_TIME, ctx.supernodes.ask(supernode, &request));
    match asked.await.unwrap_or(Err(RequestError::TimedOut))? {
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
    ask_all_within(ctx, supernodes, question, ASK_TIME).await
}

async fn ask_all_within(
    ctx: &Arc<Context>,
    supernodes: &[SupernodeAddr],
    question: &NameQuestion,
    within: Duration,
) -> Vec<(SupernodeAddr, NameReply)> {
    let mut asked = JoinSet::new();
    for supernode in supernodes.iter().cloned() {
        let (ctx, question) = (Arc::clone(ctx), question.clone());
        asked.spawn(async move {
            let reply = ask(&ctx, &supernode, question).await.ok()?;
            Some((supernode, reply))
        });
    }
    let until = Instant::now() + within;
    let mut answered = Vec::new();
    while let Ok(Some(done)) = timeout_at(until, asked.join_next()).await {
        answered.extend(done.ok().flatten());
    }
    answered
}

/// How far their copies go.
pub(super) async fn heads(ctx: &Arc<Context>, supernodes: &[SupernodeAddr]) -> Vec<Heard> {
    heads_within(ctx, supernodes, ASK_TIME).await
}

/// The same, of those that answer within the time.
pub(super) async fn heads_within(
    ctx: &Arc<Context>,
    supernodes: &[SupernodeAddr],
    within: Duration,
) -> Vec<Heard> {
    let replies = ask_all_within(ctx, supernodes, &NameQuestion::Head, within).await;
    let heads = replies.into_iter().filter_map(|(from, reply)| match reply {
        NameReply::Head(head) => Some((from, *head)),
        _ => None,
    });
    heads.collect()
}

/// Whether all that it says was signed by a registrar of the network, or by its owner.
pub(super) fn is_proved(said: &NameHead, network: NetworkId) -> bool {
    let office = said.office.as_ref();
    let proof = said.proof.as_ref();
    office.is_none_or(|office| office.is_appointed_in(network))
        && said
            .head
            .as_ref()
            .is_none_or(|head| head.verify(network).is_ok())
        && proof.is_none_or(|proof| proof.verify(network).is_ok())
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

/// The registrar that the network's owner appointed last, of those that were told.
pub(super) fn office(heads: &[Heard], network: NetworkId) -> Option<Registrar> {
    let offices = heads.iter().filter_map(|(_, head)| head.office.as_ref());
    let real = offices.filter(|office| office.is_appointed_in(network));
    real.max_by_key(|office| (office.epoch, office.until))
        .cloned()
}
