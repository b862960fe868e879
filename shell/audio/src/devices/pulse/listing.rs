//! Which devices the server has.

use super::connection::Connection;
use super::messages::Command;
use super::tags::Reader;
use super::{ServerError, messages};

/// None, where the number of another thing stands.
const NOTHING: u32 = u32::MAX;

/// All there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::devices) struct Devices {
    pub(in crate::devices) sinks: Vec<Listing>,
    pub(in crate::devices) sources: Vec<Listing>,
    pub(in crate::devices) default_sink: Option<String>,
    pub(in crate::devices) default_source: Option<String>,
}

/// A device.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::devices) struct Listing {
    /// The server's name for it.
    pub(in crate::devices) id: String,
    /// For people.
    pub(in crate::devices) name: String,
    /// What a sink plays, to be recorded.
    pub(in crate::devices) is_monitor: bool,
}

impl Connection {
    /// Looks, without making a sound.
    pub(in crate::devices) fn devices(&mut self) -> Result<Devices, ServerError> {
        let server = self.ask(Command::GetServerInfo, |_| {})?;
        let [default_sink, default_source] = defaults(Reader::new(&server))?;
        let sinks = self.ask(Command::GetSinkInfoList, |_| {})?;
        let mut sinks = listings(Reader::new(&sinks))?;
        // A sink knows its monitor, as a monitor knows its sink.
        sinks.iter_mut().for_each(|sink| sink.is_monitor = false);
        let sources = self.ask(Command::GetSourceInfoList, |_| {})?;
        Ok(Devices {
            sinks,
            sources: listings(Reader::new(&sources))?,
            default_sink,
            default_source,
        })
    }
}

fn defaults(mut values: Reader<'_>) -> Result<[Option<String>; 2], ServerError> {
    // The server's name and version, user and host, its usual form of sound.
    values.skip(5)?;
    let mut name = || Ok::<_, ServerError>(values.text()?.map(words));
    Ok([name()?, name()?])
}

/// Sinks or sources: they are told alike.
fn listings(mut values: Reader<'_>) -> Result<Vec<Listing>, ServerError> {
    let mut found = Vec::new();
    while !values.is_empty() {
        found.push(listing(&mut values)?);
    }
    Ok(found)
}

fn listing(values: &mut Reader<'_>) -> Result<Listing, ServerError> {
    let _index = values.word()?;
    let nameless = ServerError::Garbled("a device has no name");
    let id = values.text()?.map(words).ok_or(nameless)?;
    let name = values.text()?.map(words);
    // Form of sound, channels, module, volume, whether it is muted.
    values.skip(5)?;
    let is_monitor = values.word()? != NOTHING;
    // The other's name, latency, driver, flags, properties, latency asked for, volume, state, steps of volume, card.
    values.skip(10)?;
    let ports = values.word()?;
    for _ in 0..ports {
        // Name, description, priority.
        values.skip(3)?;
    }
    // The port in use.
    values.skip(1)?;
    let formats = values.byte()?;
    values.skip(u32::from(formats))?;
    let name = name.unwrap_or_else(|| id.clone());
    Ok(Listing {
        id,
        name,
        is_monitor,
    })
}

fn words(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A message's values as each of these answers, for fuzzing.
pub(super) fn read_all(message: &[u8]) {
    if let Ok(messages::Message::Reply { values, .. }) = messages::Message::parse(message) {
        let _ = defaults(values);
        let _ = listings(values);
    }
}
