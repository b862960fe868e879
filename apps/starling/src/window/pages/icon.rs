//! The icons: own line drawings on a 24 x 24 grid, inline, so that they take the text's colour.

use maud::{Markup, html};

/// Drawings by name.
#[derive(Debug, Clone, Copy)]
pub enum Icon {
    Call,
    HangUp,
    Microphone,
    MicrophoneOff,
    Hold,
    Resume,
    Attach,
    Send,
    Add,
    Link,
    Calls,
    Files,
    Network,
    Status,
    Back,
    Sound,
    Info,
    Verified,
}

/// Decoration: the words stand beside it.
pub fn icon(which: Icon) -> Markup {
    let turned = matches!(which, Icon::HangUp).then_some("rotate(135 12 12)");
    html! {
        svg.icon viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.8"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" {
            path d=(outline(which)) transform=[turned] {}
        }
    }
}

fn outline(which: Icon) -> &'static str {
    match which {
        Icon::Call | Icon::HangUp => {
            "M6 3.5h3l1.6 4.4-2.3 1.9c1.2 2.5 3.3 4.6 5.9 5.9l1.9-2.3 4.4 1.6v3a2.5 2.5 0 0 1-2.5 2.5C10.3 20.5 3.5 13.7 3.5 6A2.5 2.5 0 0 1 6 3.5z"
        }
        Icon::Microphone => {
            "M9 6a3 3 0 0 1 6 0v5a3 3 0 0 1-6 0zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21"
        }
        Icon::MicrophoneOff => {
            "M9 6a3 3 0 0 1 6 0v5a3 3 0 0 1-6 0zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21M4 3.5l16 17"
        }
        Icon::Hold => "M8.5 5.5v13M15.5 5.5v13",
        Icon::Resume => "M8 5.5l10.5 6.5L8 18.5z",
        Icon::Attach => {
            "M19.5 11.5l-7.8 7.8a4.6 4.6 0 0 1-6.5-6.5l8-8a3.1 3.1 0 0 1 4.4 4.4l-7.9 7.9a1.6 1.6 0 0 1-2.2-2.2l7.2-7.2"
        }
        Icon::Send => "M4 11.5L20 4l-6 16-3.2-7zM10.8 13L20 4",
        Icon::Add => "M12 5v14M5 12h14",
        Icon::Link => {
            "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1"
        }
        Icon::Calls => "M12 3.5a8.5 8.5 0 1 1 0 17a8.5 8.5 0 0 1 0-17zM12 7.5V12l3 2",
        Icon::Verified => "M12 3l7 3v5.5c0 4.5-3 7.8-7 9.5-4-1.7-7-5-7-9.5V6zM8.5 12l2.5 2.5 4.5-5",
        Icon::Files => "M6.5 3.5h7l4.5 4.5v12.5h-11.5zM13.5 3.5V8H18",
        Icon::Network => {
            "M12 3.5a2.3 2.3 0 1 1 0 4.6a2.3 2.3 0 0 1 0-4.6zM5.5 15.9a2.3 2.3 0 1 1 0 4.6a2.3 2.3 0 0 1 0-4.6zM18.5 15.9a2.3 2.3 0 1 1 0 4.6a2.3 2.3 0 0 1 0-4.6zM10.9 7.8L6.6 16M13.1 7.8l4.3 8.2M7.8 18.2h8.4"
        }
        Icon::Status => "M3 12.5h4l2.5-7 4.5 13 2.5-6H21",
        Icon::Back => "M14.5 5.5L8 12l6.5 6.5",
        Icon::Sound => "M4 10.5v3M8 7v10M12 4v16M16 8v8M20 10.5v3",
        Icon::Info => "M12 3.5a8.5 8.5 0 1 1 0 17a8.5 8.5 0 0 1 0-17zM12 11v5M12 7.8v.1",
    }
}
