//! The connection for the sound, between the two inner endpoints: the caller opens it while it rings and names the call on
//! its first stream; from then on it carries datagrams only.

use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_protocol::call::calls::SoundEnd;
use starling_wire::alpn;
use starling_wire::call::{CALL_FRAME_MAX, Media, MediaHello};
use starling_wire::ids::{AccountId, CallId};
use tokio::sync::mpsc;
use tracing::debug;

use super::Input;
use super::running::{SoundLink, StartVoice};
use super::task::Task;
use crate::media_path::{ENDED, NOT_EXPECTED, Notice, REPLACED, Voice, live, receive};
use crate::transport::{congestion, dial, endpoint, stream};

/// Whoever opened a connection says within this which call it is for.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// Dials before the first pause; the other side may be moving at this moment.
const ATTEMPTS: usize = 4;
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(2);

impl Task {
    /// Caller: connects to the callee's inner endpoint as soon as both are known.
    pub(super) fn connect_sound(&mut self, call: CallId) {
        let Some(running) = self.running.get_mut(&call) else {
            return;
        };
        let (Some(lease), Some(inner)) = (&running.lease, &running.peer_inner) else {
            return;
        };
        if !running.outgoing || running.is_sound_there() {
            return;
        }
        let Some(address) = endpoint::inner_addr(inner) else {
            return;
        };
        let (from, inputs, peer) = (lease.endpoint().clone(), self.inputs.clone(), running.peer);
        let attempt = async move {
            let mut wait = RETRY_FIRST;
            loop {
                let (alpn, transport) = (alpn::MEDIA, congestion::voice());
                let dialled = dial::persistently(&from, &address, alpn, &transport, ATTEMPTS).await;
                match dialled {
                    Ok(connection) if say_hello(&connection, call).await.is_some() => {
                        let _ = inputs.send(Input::Sound(call, peer, connection)).await;
                        return;
                    }
                    Ok(_) => {}
                    Err(error) => debug!(%error, "no connection for the sound yet"),
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
        };
        running.connecting = Some(self.tasks.spawn(attempt).into());
    }

    /// A connection for sound is up. The newest counts.
    pub(super) async fn sound_connected(
        &mut self,
        call: CallId,
        account: AccountId,
        connection: Connection,
    ) {
        if !self.machine.expects_sound(call, account) {
            debug!(reason = "no such call", "closed a connection for sound");
            connection.close(NOT_EXPECTED.into(), b"no such call");
            return;
        }
        let path = self.ctx.paths.enter(account, "call", &connection);
        let living = self.tasks.spawn(live(connection.clone()));
        let Some(running) = self.running_or_new(call) else {
            return;
        };
        let peer = endpoint::endpoint_key(connection.remote_id());
        if running.outgoing && !running.is_sound_for(peer) {
            debug!(
                reason = "another device answered",
                "closed a connection for sound"
            );
            connection.close(NOT_EXPECTED.into(), b"elsewhere");
            return;
        }
        let number = running.next_sound();
        let link = SoundLink {
            number,
            peer,
            _living: living.into(),
            connection,
            receiving: None,
            _path: path,
        };
        if let Some(old) = running.sound.replace(link) {
            old.connection.close(REPLACED.into(), b"replaced");
        }
        if running.voice.is_some() {
            self.attach(call);
            self.machine.handle_sound(call, self.ctx.clock.now());
            self.drain().await;
        } else {
            self.watch_early(call);
        }
    }

    /// Answered: opens source and sink. Whether sound flows at once, because its connection is up already.
    pub(super) fn start_voice(&mut self, call: CallId, media: Media) -> bool {
        let Some(running) = self.running.get_mut(&call) else {
            return false;
        };
        if running.voice.is_none() {
            let prepared = running.take_prepared();
            let inputs = self.inputs.clone();
            let notify = move |notice: Notice| {
                // Full: the call is in trouble anyway, and the thread must not wait.
                let _ = inputs.try_send(Input::Voice(call, notice));
            };
            let start = StartVoice {
                clock: self.ctx.clock,
                traffic: Arc::clone(&self.ctx.traffic),
                sounding: self.sounding.clone(),
                deep: media.is_deep(),
            };
            match start.start(prepared, notify) {
                Ok(voice) => {
                    running.own.begin(self.sounding.audio.push_to_talk());
                    running.own.apply(&voice);
                    running.voice = Some(voice);
                }
                Err(error) => {
                    running.warnings.push(format!("there is no sound: {error}"));
                    return false;
                }
            }
        }
        if running.is_sound_there() {
            self.attach(call);
            return true;
        }
        // It was lost: the caller seeks it anew.
        self.connect_sound(call);
        false
    }

    pub(super) fn voice(&self, call: CallId) -> Option<&Voice> {
        self.running.get(&call)?.voice.as_ref()
    }

    /// Lets sound flow over the call's connection.
    fn attach(&mut self, call: CallId) {
        let Some(running) = self.running.get_mut(&call) else {
            return;
        };
        let (Some(sound), Some(voice)) = (&mut running.sound, &running.voice) else {
            return;
        };
        voice.connect(Some(sound.connection.clone()));
        let (ctx, inputs, inlet) = (Arc::clone(&self.ctx), self.inputs.clone(), voice.inlet());
        let (connection, number) = (sound.connection.clone(), sound.number);
        let receiving = self.tasks.spawn(async move {
            let end = receive(&ctx, ctx.clock, &connection, &inlet).await;
            let _ = inputs.send(Input::SoundLost(call, number, end)).await;
        });
        sound.receiving = Some(receiving.into());
        running.look();
        self.seek_forwarder(call);
    }

    /// Connected while it still rings: a connection that ends before the answer is sought anew.
    fn watch_early(&mut self, call: CallId) {
        let Some(sound) = self
            .running
            .get_mut(&call)
            .and_then(|running| running.sound.as_mut())
        else {
            return;
        };
        let (connection, number, inputs) =
            (sound.connection.clone(), sound.number, self.inputs.clone());
        let watching = self.tasks.spawn(async move {
            connection.closed().await;
            let lost = Input::SoundLost(call, number, SoundEnd::Lost);
            let _ = inputs.send(lost).await;
        });
        sound.receiving = Some(watching.into());
    }

    /// A connection ended; whether it was the one in use.
    pub(super) fn sound_lost(&mut self, call: CallId, number: u64) -> bool {
        let Some(running) = self.running.get_mut(&call) else {
            return false;
        };
        if running
            .sound
            .as_ref()
            .is_none_or(|sound| sound.number != number)
        {
            return false;
        }
        if let Some(sound) = running.sound.take() {
            // If it is there after all, the other side seeks as we do.
            sound.connection.close(REPLACED.into(), b"lost");
        }
        if let Some(voice) = &running.voice {
            voice.connect(None);
        } else {
            self.connect_sound(call);
        }
        true
    }

    pub(super) async fn stop_voice(&mut self, call: CallId) {
        self.forwardings.end(call);
        let Some(running) = self.running.get_mut(&call) else {
            return;
        };
        running.connecting = None;
        running.look();
        if let Some(sound) = running.sound.take() {
            sound.connection.close(ENDED.into(), b"ended");
        }
        if let Some(voice) = running.voice.take() {
            running.remember_voice(&voice);
            voice.stop().await;
        }
    }
}

async fn say_hello(connection: &Connection, call: CallId) -> Option<()> {
    let mut send = connection.open_uni().await.ok()?;
    stream::write(&mut send, &MediaHello { call }).await.ok()?;
    send.finish().ok()
}

/// A contact's connection: the call it names, or nothing.
pub async fn accept(account: AccountId, connection: Connection, inputs: mpsc::Sender<Input>) {
    let hello = async {
        let mut receive = connection.accept_uni().await.ok()?;
        let hello = stream::read::<MediaHello>(&mut receive, CALL_FRAME_MAX).await;
        hello.ok().flatten()
    };
    match tokio::time::timeout(HELLO_TIME, hello).await {
        Ok(Some(MediaHello { call })) => {
            let _ = inputs.send(Input::Sound(call, account, connection)).await;
        }
        _ => connection.close(NOT_EXPECTED.into(), b"no hello"),
    }
}
