//! The sound system that answers: the sound server's, or else ALSA.

use std::sync::{Arc, Mutex, PoisonError};

use super::alsa::Alsa;
use super::health::Health;
use super::intake::{Intake, intake};
use super::keeper::{Carried, Kept};
use super::outlet::{Outlet, outlet};
use super::pulse::{self, Connection, Refusal, ServerError};
use super::roster::{Listed, Roster};
use super::{DeviceError, Kind};
use crate::SAMPLE_RATE;

/// A connection to one.
pub(super) enum Host {
    Server(Connection),
    Alsa(Alsa),
}

impl Host {
    /// The first that answers, and the devices it has.
    pub(super) fn answering(kind: Kind) -> Result<(Self, Roster), DeviceError> {
        match served() {
            Ok((connection, roster)) => Ok((Self::Server(connection), roster)),
            // Whoever has one wants to know what is wrong with it.
            Err(error) if !matches!(error, ServerError::None | ServerError::Closed) => {
                Err(failed(kind, &error))
            }
            Err(_) => {
                let alsa = Alsa::open(kind)?;
                let roster = alsa.roster();
                Ok((Self::Alsa(alsa), roster))
            }
        }
    }

    /// Whether it can be opened, as far as that can be told without doing it.
    pub(super) fn check(&self, kind: Kind, listed: &Listed) -> Result<(), DeviceError> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Alsa(alsa) => alsa.check(kind, &listed.id),
        }
    }

    /// Opens a microphone.
    pub(super) fn record(
        self,
        kind: Kind,
        listed: &Listed,
        health: &Arc<Health>,
    ) -> Result<(Intake, Kept), DeviceError> {
        match self {
            Self::Alsa(alsa) => alsa.record(kind, &listed.id, health),
            Self::Server(connection) => {
                let (mouth, intake) = intake(SAMPLE_RATE, 1, health);
                let stream = connection.record(&listed.id, &kind.to_string(), mouth);
                Ok((intake, kept(kind, stream, health)?))
            }
        }
    }

    /// Opens a speaker, or what rings.
    pub(super) fn play(
        self,
        kind: Kind,
        listed: &Listed,
        health: &Arc<Health>,
    ) -> Result<(Outlet, Kept), DeviceError> {
        match self {
            Self::Alsa(alsa) => alsa.play(kind, &listed.id, health),
            Self::Server(connection) => {
                let (tap, outlet) = outlet(SAMPLE_RATE, 1, health);
                let stream = connection.play(&listed.id, &kind.to_string(), tap);
                Ok((outlet, kept(kind, stream, health)?))
            }
        }
    }
}

/// The connection that looks are made over: one after the other over the same one, as long as anybody holds on to it.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Option<Connection>>);

impl Line {
    pub(super) fn roster(&self, kind: Kind) -> Result<Roster, DeviceError> {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = line.take().map(|mut connection| {
            let devices = connection.devices()?;
            Ok::<_, ServerError>((connection, devices))
        });
        // Else the server is another one by now, or there is none.
        if let Some(Ok((connection, devices))) = known {
            *line = Some(connection);
            return Ok(devices.into());
        }
        let (host, roster) = Host::answering(kind)?;
        if let Host::Server(connection) = host {
            *line = Some(connection);
        }
        Ok(roster)
    }
}

fn served() -> Result<(Connection, Roster), ServerError> {
    let mut connection = Connection::open()?;
    let devices = connection.devices()?;
    Ok((connection, devices.into()))
}

fn kept(
    kind: Kind,
    stream: Result<pulse::Stream, ServerError>,
    health: &Arc<Health>,
) -> Result<Kept, DeviceError> {
    let stream = stream.map_err(|error| failed(kind, &error))?;
    Ok(Kept {
        stream: Carried::Server(stream),
        health: Arc::clone(health),
    })
}

/// What to say about an error of the server.
fn failed(kind: Kind, error: &ServerError) -> DeviceError {
    let reason = match error {
        ServerError::Silent => return DeviceError::Unanswered(kind),
        ServerError::None | ServerError::Refused(Refusal::Missing) => {
            return DeviceError::None(kind);
        }
        ServerError::Refused(why @ (Refusal::Access | Refusal::Busy)) => why.to_string(),
        _ => error.to_string(),
    };
    DeviceError::Open { kind, reason }
}
