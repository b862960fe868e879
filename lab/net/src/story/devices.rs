//! Another device joins somebody's account, and leaves it.

use std::time::{Duration, Instant};

use starling_control::{Command, Event, view};

use crate::actor::{Actor, ActorError};

const POLL: Duration = Duration::from_millis(20);

/// `device` joins by `owner`'s link; both people compare the words and say that they are the same. How long the machines took.
pub fn add(owner: &Actor, device: &Actor, name: &str) -> Result<Duration, ActorError> {
    let start = Instant::now();
    let added: view::Pairing = owner.ask(Command::DeviceAdd { owner: false })?;
    let link = added.link.ok_or_else(|| owner.story("showed no link"))?;
    let name = Some(name.to_owned());
    device.ask::<view::Pairing>(Command::DeviceJoin { link, name })?;
    let (_, shown) = owner.until("the words", words)?;
    let (_, there) = device.until("the words", words)?;
    if shown != there {
        return Err(owner.story(format!("shows {shown:?}, the new device {there:?}")));
    }
    for side in [device, owner] {
        side.ask::<view::Pairing>(Command::DeviceAnswer { same: true })?;
    }
    for side in [device, owner] {
        let (_, end) = side.until("the new device", end)?;
        if let Some(reason) = end.failed {
            return Err(side.story(reason));
        }
    }
    Ok(start.elapsed())
}

/// Removes a device; how long until it knows.
pub fn remove(owner: &Actor, device: &Actor, name: &str) -> Result<Duration, ActorError> {
    let start = Instant::now();
    owner.ask::<Vec<view::Device>>(Command::DeviceRevoke {
        device: name.to_owned(),
    })?;
    loop {
        let status: view::Status = device.ask(Command::Status {})?;
        let removed = |line: &String| line.contains("was removed from its account");
        if status.warnings.iter().any(removed) {
            return Ok(start.elapsed());
        }
        if start.elapsed() > device.patience {
            return Err(device.story("does not learn that it was removed"));
        }
        std::thread::sleep(POLL);
    }
}

fn words(event: &Event) -> Option<String> {
    match event {
        Event::Pairing(pairing) if pairing.failed.is_none() => pairing.words.clone(),
        _ => None,
    }
}

fn end(event: &Event) -> Option<view::Pairing> {
    match event {
        Event::Pairing(pairing) if pairing.joined.is_some() || pairing.failed.is_some() => {
            Some(pairing.clone())
        }
        _ => None,
    }
}
