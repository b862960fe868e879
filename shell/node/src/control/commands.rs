//! From commands to drivers: one arm per command, each answered with the view its documentation promises.

use std::net::{IpAddr, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;
use starling_control::rpc::LINE_MAX;
use starling_control::{Command, ErrorKind, Failure, view};
use starling_store::{introductions, requests};
use starling_wire::ids::MessageId;
use starling_wire::limits::SUPERNODES_MAX;
use starling_wire::link::{Link, Target};
use starling_wire::supernode::SupernodeAddr;

use super::calls;
use super::devices;
use super::names;
use crate::context::store_failure;
use crate::drivers::views;
use crate::node::{App, account_view};
use crate::session::Session;
use crate::{backup, echo, ending, recovery, restore, status};

/// Entries of a listing unless the client asks for another number.
pub(super) const LISTING: u32 = 50;
/// And at most.
const LISTING_MAX: u32 = 1_000;
/// Bytes of a listing: with what stands around it, it fits a line.
const LISTING_BYTES: usize = LINE_MAX - 4096;

/// Does what is asked.
pub async fn carry_out(app: &Arc<App>, command: Command) -> Result<Value, Failure> {
    note_act(app, &command);
    match command {
        Command::Status {} => value(status::status(app).await?),
        Command::AccountCreate { name } => value(app.create_account(&name).await?),
        Command::AccountShow {} => value(
            app.session()
                .ok()
                .map(|session| account_view(&session.ctx.identity.get())),
        ),
        Command::NetworkInit { name, advertise } => {
            value(app.init_network(&name, advertise.as_deref()).await?)
        }
        Command::NetworkShow {} => value(app.network_view().await?),
        Command::NetworkJoin { source } => value(app.join_network(&source).await?),
        Command::RolesShow {} => value(app.roles_view().await?),
        Command::RolesSet(change) => value(app.set_role(change).await?),
        Command::MailboxShow {} => value(app.mailbox_view().await?),
        Command::MailboxSet(change) => value(app.set_mailbox(change).await?),
        Command::EchoOpen {} => value(echo::open(app).await?),
        Command::Events {} => Err(Failure::new(
            ErrorKind::Usage,
            "events are a matter of the connection, not of the node",
        )),
        Command::WindowOpen {} => match &app.config.window {
            Some(hook) => value(hook().await?),
            None => Err(Failure::new(
                ErrorKind::State,
                "this profile's node runs without a window (`starling node`); end it with `starling stop`, then run `starling`",
            )),
        },
        Command::NodeStop {} => {
            app.ask_to_stop();
            Ok(Value::Null)
        }
        Command::AudioDevices {} => value(app.audio.view().await?),
        Command::AudioUse(change) => value(app.audio.change(change).await?),
        Command::AudioMeter {} => value(app.audio.meter().await?),
        Command::AudioTest {} => value(app.audio.start_test()?),
        Command::AudioTestState {} => value(app.audio.test()),
        other => about_recovery(app, other).await,
    }
}

/// `PRESENCE-24`: whoever does something is there.
fn note_act(app: &App, command: &Command) {
    if command.is_act()
        && let Ok(session) = app.session()
    {
        session.ctx.own_presence.handle_act();
    }
}

async fn about_recovery(app: &Arc<App>, command: Command) -> Result<Value, Failure> {
    match command {
        Command::AccountBackup { file, passphrase } => {
            value(backup::write(app, &file, &passphrase).await?)
        }
        Command::AccountBackupCheck { file, passphrase } => {
            value(backup::check(app, &file, &passphrase).await?)
        }
        Command::AccountPhrase {} => value(recovery::phrase(app)?),
        Command::AccountPhraseCheck { words } => value(recovery::check(app, &words).await?),
        Command::AccountRestore { file, passphrase } => {
            value(backup::restore(app, &file, &passphrase).await?)
        }
        Command::AccountRestorePhrase { words, anyway } => {
            value(restore::restore(app, &words, anyway).await?)
        }
        Command::AccountRecover { words } => value(restore::recover(app, &words).await?),
        Command::AccountDelete { name, with_network } => {
            value(ending::delete(app, &name, with_network).await?)
        }
        Command::AccountPhraseForget { words } => value(recovery::forget(app, &words).await?),
        other => about_people(app, other).await,
    }
}

async fn about_people(app: &Arc<App>, command: Command) -> Result<Value, Failure> {
    if devices::are_meant(&command) {
        return Box::pin(devices::carry_out(app, command)).await;
    }
    let session = app.session()?;
    if session.ctx.identity.is_revoked() && !only_reads(&command) {
        let sentence = "this device was removed from its account on another device; what is stored here can still be read";
        return Err(Failure::new(ErrorKind::State, sentence));
    }
    match command {
        Command::ContactLink {} => value(own_link(app)?),
        Command::ContactPreview { link } => value(session.people.preview(&link)?),
        Command::ContactAdd { link, message } => value(
            session
                .people
                .add(&names::link_of(&session, &link).await?, &message)
                .await?,
        ),
        Command::ContactList {} => value(views::contact_list(&session.ctx).await?),
        Command::ContactEarlier {} => value(views::earlier(&session.ctx).await?),
        Command::ContactRequests {} => value(contact_requests(app).await?),
        Command::ContactAccept { id } => value(session.people.accept(&id).await?),
        Command::ContactDecline { id } => value(session.people.decline(&id).await?),
        Command::ContactRemove { who } => value(
            session
                .people
                .remove(names::find(&session, &who).await?)
                .await?,
        ),
        Command::ContactBlock { who } => value(session.people.block(&who).await?),
        Command::ContactNickname { who, nickname } => value(
            session
                .people
                .nickname(names::find(&session, &who).await?, &nickname)
                .await?,
        ),
        Command::ContactRelay { who, always } => value(
            session
                .people
                .relay(names::find(&session, &who).await?, always)
                .await?,
        ),
        Command::ContactRelayEverybody { always } => {
            value(session.people.relay_everybody(always).await?)
        }
        other => names::carry_out(app, &session, other).await,
    }
}

/// What a device that was removed from its account still does.
const fn only_reads(command: &Command) -> bool {
    matches!(
        command,
        Command::ContactList {}
            | Command::ContactEarlier {}
            | Command::ContactRequests {}
            | Command::ChatLog { .. }
            | Command::ChatRead { .. }
            | Command::CallList { .. }
            | Command::CallMissed { .. }
            | Command::CallShow { .. }
            | Command::CallSeen {}
            | Command::CallSettings {}
            | Command::ProcessingShow {}
            | Command::FileList {}
    )
}

pub(super) async fn with_a_contact(session: &Session, command: Command) -> Result<Value, Failure> {
    match command {
        Command::ChatSend { who, text } => value(
            session
                .chat
                .send(names::find(session, &who).await?, &text)
                .await?,
        ),
        Command::ChatLog { who, limit, before } => {
            let before = before
                .map(|id| parse::<MessageId>(&id, "message"))
                .transpose()?;
            let account = views::find_with_removed(&session.ctx, &who).await?;
            let limit = limit.unwrap_or(LISTING).min(LISTING_MAX);
            value(fitting(session.chat.log(account, limit, before).await?))
        }
        Command::ChatRead { who } => value(
            session
                .chat
                .read(views::find_with_removed(&session.ctx, &who).await?)
                .await?,
        ),
        Command::FileSend { who, path } => value(
            session
                .files
                .send(names::find(session, &who).await?, &path)
                .await?,
        ),
        Command::FileList {} => value(session.files.list().await?),
        Command::FileAccept { id, to } => value(session.files.accept(&id, to.as_deref()).await?),
        Command::FileCancel { id } => value(session.files.cancel(&id).await?),
        other => calls::carry_out(session, other).await,
    }
}

/// The newest messages of a listing, as many as fit a line; the client asks for those before the first.
fn fitting(mut messages: Vec<view::Message>) -> Vec<view::Message> {
    let mut bytes = 0;
    let fits = |message: &&view::Message| {
        let line = serde_json::to_vec(message).map_or(0, |line| line.len());
        bytes += line + 1;
        bytes <= LISTING_BYTES
    };
    let count = messages.iter().rev().take_while(fits).count();
    messages.split_off(messages.len() - count)
}

pub(super) fn value<T: serde::Serialize>(view: T) -> Result<Value, Failure> {
    serde_json::to_value(view).map_err(|error| {
        Failure::new(
            ErrorKind::System,
            format!("the answer could not be written: {error}"),
        )
    })
}

fn parse<T: FromStr>(text: &str, what: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|_| Failure::new(ErrorKind::Usage, format!("\"{text}\" is no {what} id")))
}

/// The own link, with what a person should know before it is copied.
fn own_link(app: &App) -> Result<view::OwnLink, Failure> {
    let session = app.session()?;
    let homes = session.ctx.homes();
    let supernodes: Vec<_> = session
        .ctx
        .home_list()
        .into_iter()
        .take(SUPERNODES_MAX)
        .collect();
    let own = homes.own.as_ref().map(|own| own.id);
    let ours = |supernode: &SupernodeAddr| Some(supernode.id) == own || is_here(supernode.tcp.ip());
    let warnings = link_warnings(&supernodes, ours);
    let account = session.ctx.identity.account();
    let link = Link {
        target: Target::Account(account),
        network: homes.network,
        supernodes,
    };
    Ok(view::OwnLink {
        link: link.to_string(),
        warnings,
    })
}

/// What a person should know before copying a link with these supernodes.
fn link_warnings(
    supernodes: &[SupernodeAddr],
    ours: impl Fn(&SupernodeAddr) -> bool,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for supernode in supernodes.iter().filter(|supernode| ours(supernode)) {
        warnings.push(format!(
            "This link shows the address of this machine, {}, to whoever reads it.",
            supernode.tcp
        ));
    }
    if supernodes.iter().all(is_loopback) {
        warnings.push(
            "It works on this machine only: Starling knew of no network when it started. Once there is one, start \
             Starling again and copy the link anew."
                .to_owned(),
        );
    } else if !supernodes.iter().any(SupernodeAddr::is_public) {
        warnings.push(
            "It works on this local network only. For two people at two homes, one reachable machine has to run \
             `starling network init`."
                .to_owned(),
        );
    }
    warnings
}

fn is_loopback(supernode: &SupernodeAddr) -> bool {
    supernode.tcp.ip().to_canonical().is_loopback()
}

/// Whether an address is one of this machine's: only of those a socket can be had, and nothing is sent.
fn is_here(ip: IpAddr) -> bool {
    !ip.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()
}

async fn contact_requests(app: &App) -> Result<Vec<view::ContactRequest>, Failure> {
    let session = app.session()?;
    let waiting = session.ctx.db.read(|tx| {
        let waiting = requests::list(tx)?.into_iter();
        let shown = waiting.map(|request| {
            let shown = introductions::get(tx, request.account)?;
            Ok(views::request(&request, shown.as_ref()))
        });
        shown.collect()
    });
    waiting.await.map_err(store_failure)
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use starling_wire::ids::EndpointKey;

    use super::*;

    fn supernode(id: u8, tcp: &str) -> SupernodeAddr {
        SupernodeAddr {
            id: EndpointKey([id; 32]),
            tcp: tcp.parse().expect("an address"),
            discovery_port: 0,
        }
    }

    fn warned(supernodes: &[SupernodeAddr], own: Option<u8>) -> [bool; 3] {
        let own = own.map(|id| EndpointKey([id; 32]));
        let warnings = link_warnings(supernodes, |one| {
            Some(one.id) == own || is_here(one.tcp.ip())
        });
        [
            "address of this machine",
            "this machine only",
            "this local network only",
        ]
        .map(|words| warnings.iter().any(|line| line.contains(words)))
    }

    #[test]
    fn a_link_that_shows_this_machine_says_so_whichever_process_serves() {
        let public = supernode(1, "203.0.113.7:443");
        let private = supernode(1, "192.168.1.9:27474");
        assert_eq!(warned(from_ref(&public), None), [false, false, false]);
        assert_eq!(warned(from_ref(&public), Some(1)), [true, false, false]);
        assert_eq!(warned(from_ref(&private), None), [false, false, true]);
        assert_eq!(warned(&[private, public], Some(1)), [true, false, false]);
        // Another process of this machine serves: its key is not ours, its address is.
        let here = supernode(2, "127.0.0.1:27474");
        assert_eq!(warned(from_ref(&here), None), [true, true, false]);
        assert_eq!(warned(from_ref(&here), Some(2)), [true, true, false]);
        assert!(!is_here("0.0.0.0".parse().expect("an address")));
    }

    #[test]
    fn control_04_a_listing_ends_where_its_line_would() {
        let message = |id: usize| view::Message {
            id: id.to_string(),
            // Each of these takes six bytes in JSON.
            text: "\u{1}".repeat(16 * 1024),
            ..view::Message::default()
        };
        let messages: Vec<_> = (0..1_000).map(message).collect();
        let fit = fitting(messages);
        assert_eq!(fit.last().expect("some").id, "999", "the newest");
        let bytes = serde_json::to_vec(&fit).expect("JSON").len();
        assert!(bytes <= LISTING_BYTES && bytes > LISTING_BYTES - 200_000);
        assert!(fitting(Vec::new()).is_empty());
    }
}
