//! From rows to what clients see of a name.

use starling_control::view;
use starling_store::own_names::OwnName;
use starling_wire::name::Name;
use starling_wire::name_claim::Refusal;

/// One of ours, or one that we asked for.
pub(super) fn own_view(own: &OwnName) -> view::OwnName {
    let (state, words) = match (&own.certificate, own.refusal) {
        (Some(_), None) => ("held", "This name is yours.".to_owned()),
        (Some(_), Some(refusal)) => (
            "held",
            format!("This name is yours; the registrar's last answer: {refusal}."),
        ),
        (None, Some(Refusal::Waiting)) => ("waiting", format!("{}.", sentence(Refusal::Waiting))),
        (None, Some(refusal)) => ("refused", format!("{}.", sentence(refusal))),
        (None, None) => (
            "asked",
            "The registrar was asked; it answers when it is there.".to_owned(),
        ),
    };
    view::OwnName {
        name: own.name.as_str().to_owned(),
        network: own.network.to_string(),
        state: state.to_owned(),
        words,
        until_s: own.certificate.as_ref().map(|signed| signed.record.expires),
        findable_as: own
            .listing
            .as_ref()
            .map(|listing| listing.as_str().to_owned()),
    }
}

/// One that was given up.
pub(super) fn gone(name: &Name) -> view::OwnName {
    view::OwnName {
        name: name.as_str().to_owned(),
        state: "released".to_owned(),
        words: "This name is yours no more; for 90 days nobody else can take it.".to_owned(),
        ..view::OwnName::default()
    }
}

fn sentence(refusal: Refusal) -> String {
    let text = refusal.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}
