//! The fuzz body of calls over mutated inputs of its committed corpus.

use starling_wire::call::fuzz::fuzz_call;
use starling_wire::call::{CallFrame, EndReason, Media, MediaHello, TargetMark};
use starling_wire::frame::encode_body;
use starling_wire::ids::{AccountId, CallId};

use crate::fuzz::inner;
use crate::{corpus, mutator};

#[test]
fn calls() {
    let call = CallId([1; 16]);
    let to = TargetMark::of(call, AccountId([2; 32]));
    let made = [
        (
            "invite",
            encode_body(&CallFrame::Invite {
                call,
                offer: vec![Media::OPUS; 2],
                inner: Some(inner()),
            }),
        ),
        (
            "ringing",
            encode_body(&CallFrame::Ringing {
                inner: Some(inner()),
            }),
        ),
        (
            "accept",
            encode_body(&CallFrame::Accept {
                answer: Media::OPUS,
            }),
        ),
        ("hold", encode_body(&CallFrame::Hold { on: true })),
        (
            "end",
            encode_body(&CallFrame::End {
                reason: EndReason::Busy,
            }),
        ),
        (
            "resume",
            encode_body(&CallFrame::Resume { call, inner: None }),
        ),
        ("inner", encode_body(&CallFrame::Inner { inner: inner() })),
        ("transfer", encode_body(&CallFrame::Transfer { to })),
        (
            "transfer-failed",
            encode_body(&CallFrame::TransferFailed {
                reason: EndReason::NoAnswer,
            }),
        ),
        (
            "forwarded",
            encode_body(&CallFrame::End {
                reason: EndReason::Forwarded(to),
            }),
        ),
        ("media-hello", encode_body(&MediaHello { call })),
    ];
    mutator::run(1, &corpus::committed("calls", &made), fuzz_call);
}
