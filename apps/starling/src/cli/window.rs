//! `starling` alone: opens the window of the node that runs, or runs one with a window until Ctrl-C.

use std::path::Path;
use std::sync::Arc;

use starling_control::view::WindowDoor;
use starling_control::{Command, Failure};

use super::client::Client;
use super::node::{self, Signals, WindowOnDemand};
use super::profile::Settings;
use super::{Outcome, print};
use crate::window::{self, Opened};

/// Opens the window.
pub async fn open(settings: &Settings) -> Outcome {
    if let Some(mut client) = Client::connect(&settings.home).await? {
        let door: WindowDoor = client.ask(Command::WindowOpen {}).await?;
        show(&door, settings).await;
        return Ok(());
    }
    node::log();
    let mut signals = Signals::new(false)?;
    let window = Arc::new(WindowOnDemand::new(settings));
    let mut config = settings.node_config();
    config.window = Some(Arc::clone(&window).hook());
    let node = node::start(config).await?;
    window.serve(node.control());
    let door = window.door().await;
    match door {
        Ok(door) => greet(&door, settings).await,
        Err(failure) => return stop_for(failure, node).await,
    }
    node::until_the_end(node, &mut signals).await;
    Ok(())
}

async fn greet(door: &WindowDoor, settings: &Settings) {
    show(door, settings).await;
    if !settings.json {
        print::line("Starling runs until Ctrl-C, also with the window closed.");
    }
}

async fn stop_for(failure: Failure, node: starling_node::Node) -> Outcome {
    node.stop().await;
    Err(failure)
}

async fn show(door: &WindowDoor, settings: &Settings) {
    let opened = window::open(Path::new(&door.file), &settings.home.join("ui")).await;
    if settings.json {
        return print::json(door);
    }
    print::line(&opened.to_string());
    if let Opened::ByHand(_) = opened {
        by_hand(door);
    }
}

/// No display, or no browser: the person may sit elsewhere.
fn by_hand(door: &WindowDoor) {
    print::line(&format!(
        "or this address, once, within a minute: {}",
        door.url
    ));
    print::line(&format!(
        "From another machine, first run there: ssh -N -L {port}:127.0.0.1:{port} THIS-MACHINE",
        port = door.port
    ));
    print::line("A new address, and a way back to a closed window: run starling again.");
}
