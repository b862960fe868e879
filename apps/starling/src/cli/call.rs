//! Calls: `call` and `answer` stay until the call is over and print what becomes of it; the others act on a running call.

mod log;
mod settings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use starling_control::command::Sound;
use starling_control::view::{Call, CallQuality, CallState, CallSwitch, Switched};
use starling_control::{Command, ErrorKind, Event, Failure};
use tokio::time::timeout;

use super::account::absolute;
use super::client::Client;
use super::node::Signals;
use super::profile::Settings;
use super::{Outcome, duration, launch, print};

/// A call that was asked to end is over within this time.
const GOODBYE: Duration = Duration::from_secs(5);
/// And one that goes on as another has begun within this: theirs is answered by itself for so long (`CALL-14`).
const GOING_ON: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct CallArgs {
    #[command(subcommand)]
    command: Option<CallCommand>,
    /// Contact; one that is called like a command by the beginning of the account id
    #[arg(required = true)]
    who: Option<String>,
    #[command(flatten)]
    sound: SoundArgs,
}

#[derive(Debug, Subcommand)]
enum CallCommand {
    /// How you want to be called, on all your devices
    Settings(settings::SettingsArgs),
    /// Calls of before, newest first, and what they were like
    Log(log::LogArgs),
    /// Put the other side of a call through to another contact
    Transfer {
        /// Whom they are to talk to; one of their contacts, too
        who: String,
        /// Which call; else the one you talk in
        #[arg(long, value_name = "ID")]
        call: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// Which call, if several ring
    id: Option<String>,
    /// Wait until it rings
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    sound: SoundArgs,
}

#[derive(Debug, Args)]
struct SoundArgs {
    /// Play this WAV file to the other side instead of the microphone
    #[arg(long, value_name = "WAV")]
    play: Option<PathBuf>,
    /// Record the other side into this WAV file, which must not exist
    #[arg(long, value_name = "WAV")]
    record: Option<PathBuf>,
    /// Hang up after so much conversation: 10s, 1m30s
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    limit: Option<Duration>,
    /// Send with so many kbit/s at most: 8 to 64
    #[arg(long, value_name = "N")]
    max_kbits: Option<u32>,
    /// Write down in this file, which must not exist, when each frame of voice was there and when it was played
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Take the file's sound for a microphone's: without echo and noise, and as loud as it should be
    #[arg(long, requires = "play")]
    processed: bool,
}

#[derive(Debug, Args)]
pub struct WhichCall {
    /// Which call, if there are several
    id: Option<String>,
}

#[derive(Debug, Args)]
pub struct SwitchCall {
    /// Which call, if there are several
    id: Option<String>,
    /// The opposite: go on
    #[arg(long)]
    off: bool,
}

#[derive(Debug, Args)]
pub struct CallsArgs {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

impl SoundArgs {
    fn sound(&self) -> Result<Sound, Failure> {
        let path = |path: &Option<PathBuf>| {
            path.as_deref()
                .map(|path: &Path| absolute(path))
                .transpose()
        };
        Ok(Sound {
            play: path(&self.play)?,
            record: path(&self.record)?,
            echo: false,
            limit_ms: self
                .limit
                .map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            max_kbits: self.max_kbits,
            trace: path(&self.trace)?,
            processed: self.processed,
        })
    }
}

/// `starling call`
pub async fn call(args: CallArgs, settings: &Settings) -> Outcome {
    match args.command {
        Some(CallCommand::Settings(args)) => settings::run(&args, settings).await,
        Some(CallCommand::Transfer { who, call }) => {
            act(Command::CallTransfer { id: call, who }, settings).await
        }
        Some(CallCommand::Log(args)) => log::run(&args, settings).await,
        None => start(args.who.unwrap_or_default(), &args.sound, settings).await,
    }
}

async fn start(who: String, sound: &SoundArgs, settings: &Settings) -> Outcome {
    let sound = sound.sound()?;
    let mut client = launch::client(settings).await?;
    client.subscribe().await?;
    let call = client.ask(Command::CallStart { who, sound }).await?;
    stay(&mut client, call, settings).await
}

/// `starling answer`
pub async fn answer(args: AnswerArgs, settings: &Settings) -> Outcome {
    let sound = args.sound.sound()?;
    let mut client = launch::client(settings).await?;
    client.subscribe().await?;
    let id = match (args.wait, args.id) {
        (true, None) => Some(until_it_rings(&mut client).await?),
        (_, id) => id,
    };
    let call = client.ask(Command::CallAnswer { id, sound }).await?;
    stay(&mut client, call, settings).await
}

async fn until_it_rings(client: &mut Client) -> Result<String, Failure> {
    let rings = |call: &Call| !call.outgoing && call.state == CallState::Ringing;
    let calls: Vec<Call> = client.ask(Command::CallList { limit: None }).await?;
    if let Some(call) = calls.into_iter().find(rings) {
        return Ok(call.id);
    }
    loop {
        match client.event().await? {
            Event::Call(call) if rings(&call) => return Ok(call.id),
            _ => {}
        }
    }
}

/// Until the call is over, also with whom it goes on. Ctrl-C ends it, and so does the terminal's end: a microphone is not left on that
/// nobody sees.
async fn stay(client: &mut Client, call: Call, settings: &Settings) -> Outcome {
    let mut shown = Shown::default();
    let mut signals = Signals::new(false)?;
    let mut call = call;
    loop {
        call = until_over(client, call, (&mut shown, settings), &mut signals).await?;
        let next = tokio::select! {
            next = going_on(client, &call) => next?,
            () = signals.end() => {
                // There may be no call to hang up yet; then none is answered.
                let _ = client.ask::<Call>(Command::CallHangup { id: None }).await;
                break;
            }
        };
        let Some(next) = next else {
            break;
        };
        call = next;
    }
    if !settings.json {
        summary(&call).iter().for_each(|line| print::line(line));
    }
    if call.answered_at.is_some() {
        return Ok(());
    }
    let sentence = format!(
        "no conversation with {}: {}",
        print::text(&call.who),
        print::text(&call.words)
    );
    Err(Failure::new(ErrorKind::Unreachable, sentence))
}

/// The call in which one that is over goes on.
async fn going_on(client: &mut Client, call: &Call) -> Result<Option<Call>, Failure> {
    let begins = timeout(GOING_ON, async {
        match &call.record.next {
            Some(next) => news_of(client, next).await,
            None => call_of(client, &call.contact).await,
        }
    });
    if call.record.next.is_none() && !call.record.merged {
        return Ok(None);
    }
    begins.await.ok().transpose()
}

/// A contact's call to us.
async fn call_of(client: &mut Client, contact: &str) -> Result<Call, Failure> {
    let is_theirs =
        |call: &Call| !call.outgoing && call.contact == contact && call.state != CallState::Ended;
    let calls: Vec<Call> = client.ask(Command::CallList { limit: None }).await?;
    if let Some(call) = calls.into_iter().find(is_theirs) {
        return Ok(call);
    }
    loop {
        match client.event().await? {
            Event::Call(call) if is_theirs(&call) => return Ok(call),
            _ => {}
        }
    }
}

async fn until_over(
    client: &mut Client,
    mut call: Call,
    (shown, settings): (&mut Shown, &Settings),
    signals: &mut Signals,
) -> Result<Call, Failure> {
    shown.show(&call, settings);
    while call.state != CallState::Ended {
        tokio::select! {
            news = news_of(client, &call.id) => call = news?,
            () = signals.end() => {
                call = hang_up(client, call).await?;
            }
        }
        shown.show(&call, settings);
    }
    Ok(call)
}

async fn news_of(client: &mut Client, id: &str) -> Result<Call, Failure> {
    loop {
        match client.event().await? {
            Event::Call(call) if call.id == id => return Ok(call),
            Event::Lagged => {
                let calls: Vec<Call> = client.ask(Command::CallList { limit: None }).await?;
                if let Some(call) = calls.into_iter().find(|call| call.id == id) {
                    return Ok(call);
                }
            }
            _ => {}
        }
    }
}

async fn hang_up(client: &mut Client, call: Call) -> Result<Call, Failure> {
    let id = call.id.clone();
    let mut call: Call = client
        .ask(Command::CallHangup {
            id: Some(id.clone()),
        })
        .await?;
    while call.state != CallState::Ended {
        call = timeout(GOODBYE, news_of(client, &id)).await.map_err(|_| {
            let sentence = "the call was asked to end and did not within 5 s; see: starling calls";
            Failure::new(ErrorKind::System, sentence)
        })??;
    }
    Ok(call)
}

/// What was printed of a call already.
#[derive(Debug, Default)]
struct Shown {
    words: String,
    warnings: Vec<String>,
    devices: [Option<String>; 2],
}

impl Shown {
    fn show(&mut self, call: &Call, settings: &Settings) {
        if settings.json {
            return print::json(call);
        }
        for warning in &call.warnings {
            if !self.warnings.contains(warning) {
                print::say(&print::text(warning));
            }
        }
        self.warnings.clone_from(&call.warnings);
        self.show_devices(call);
        if call.words != self.words {
            self.words.clone_from(&call.words);
            print::line(&format!(
                "{}: {}",
                print::text(&call.who),
                print::text(&call.words)
            ));
        }
    }

    /// Which device is in use is news when it is another one than before.
    fn show_devices(&mut self, call: &Call) {
        let now = [&call.sound.microphone, &call.sound.speaker];
        let kinds = ["microphone", "speaker"].into_iter().zip(now);
        for ((kind, now), before) in kinds.zip(&mut self.devices) {
            if let Some(name) = now.as_ref().filter(|_| now != before) {
                print::say(&format!("{kind}: {}", print::text(name)));
            }
            before.clone_from(now);
        }
    }
}

fn summary(call: &Call) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(from), Some(to)) = (call.answered_at, call.ended_at) {
        lines.push(format!("talked {}", print::length(to.saturating_sub(from))));
    }
    if let Some(quality) = &call.quality {
        let rtt = quality
            .rtt_ms
            .map_or_else(String::new, |rtt| format!(", {rtt:.0} ms there and back"));
        lines.push(format!(
            "path {}{rtt}, {:.1} % lost, {}",
            print::text(&quality.path),
            quality.loss_percent,
            print::text(&quality.codec)
        ));
        lines.push(technical(quality));
    }
    lines
}

fn technical(quality: &CallQuality) -> String {
    format!(
        "jitter {:.0} ms, played {:.0} ms late, {} frames recovered and {} concealed; sent with {:.0} kbit/s, protection {}; \
            estimated MOS {:.1}",
        quality.jitter_ms,
        quality.delay_ms,
        quality.recovered,
        quality.concealed,
        f64::from(quality.bitrate) / 1_000.0,
        print::text(&quality.protection),
        quality.mos
    )
}

/// `starling hangup`
pub async fn hangup(which: WhichCall, settings: &Settings) -> Outcome {
    act(Command::CallHangup { id: which.id }, settings).await
}

/// `starling hold`
pub async fn hold(args: SwitchCall, settings: &Settings) -> Outcome {
    act(
        Command::CallHold {
            id: args.id,
            on: !args.off,
        },
        settings,
    )
    .await
}

/// `starling swap`
pub async fn swap(which: WhichCall, settings: &Settings) -> Outcome {
    let id = which.id;
    act(Command::CallHold { id, on: false }, settings).await
}

/// `starling mute`
pub async fn mute(args: SwitchCall, settings: &Settings) -> Outcome {
    act(
        Command::CallMute {
            id: args.id,
            on: !args.off,
        },
        settings,
    )
    .await
}

/// `starling deafen`
pub async fn deafen(args: SwitchCall, settings: &Settings) -> Outcome {
    let (id, on) = (args.id, !args.off);
    let switch = CallSwitch::of(id, Switched::Deafen, on);
    act(Command::CallSwitch(switch), settings).await
}

/// `starling talk`
pub async fn talk(args: SwitchCall, settings: &Settings) -> Outcome {
    let (id, on) = (args.id, !args.off);
    let switch = CallSwitch::of(id, Switched::Talk, on);
    act(Command::CallSwitch(switch), settings).await
}

async fn act(command: Command, settings: &Settings) -> Outcome {
    let call: Call = launch::ask(settings, command).await?;
    Shown::default().show(&call, settings);
    Ok(())
}

/// `starling calls`
pub async fn calls(args: &CallsArgs, settings: &Settings) -> Outcome {
    let ask = Command::CallList {
        limit: Some(args.limit),
    };
    let calls: Vec<Call> = launch::ask(settings, ask).await?;
    log::list(&calls, "No calls yet.", settings);
    Ok(())
}
