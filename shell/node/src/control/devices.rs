//! Commands about the devices of an account.

use std::sync::Arc;

use serde_json::Value;
use starling_control::{Command, ErrorKind, Failure, view};

use super::commands::value;
use crate::node::App;

/// Whether a command is about the account's devices.
pub const fn are_meant(command: &Command) -> bool {
    matches!(
        command,
        Command::DeviceAdd { .. }
            | Command::DeviceJoin { .. }
            | Command::DevicePairing {}
            | Command::DeviceAnswer { .. }
            | Command::DeviceList {}
            | Command::DeviceRename { .. }
            | Command::DeviceRevoke { .. }
            | Command::DeviceOwner { .. }
    )
}

/// Does what is asked.
pub async fn carry_out(app: &Arc<App>, command: Command) -> Result<Value, Failure> {
    match command {
        Command::DeviceJoin { link, name } => value(app.join_device(&link, name).await?),
        Command::DevicePairing {} => value(pairing(app).await),
        Command::DeviceAnswer { same } => value(answer(app, same).await?),
        other => of_account(app, other).await,
    }
}

/// Of this side, whichever that is.
async fn pairing(app: &App) -> Option<view::Pairing> {
    let shown = match app.session() {
        Ok(session) => session.devices.pairings.view().await,
        Err(_) => None,
    };
    shown.or_else(|| app.joining.view())
}

async fn answer(app: &App, same: bool) -> Result<view::Pairing, Failure> {
    match (app.session(), same) {
        (Err(_), _) => app.answer_joining(same).await,
        (Ok(session), true) => session.devices.confirm().await,
        (Ok(session), false) => session.devices.cancel().await,
    }
}

async fn of_account(app: &Arc<App>, command: Command) -> Result<Value, Failure> {
    let devices = Arc::clone(&app.session()?.devices);
    match command {
        Command::DeviceAdd { owner } => value(devices.add(owner).await?),
        Command::DeviceList {} => value(devices.list()?),
        Command::DeviceRename { device, name } => value(devices.rename(&device, &name).await?),
        Command::DeviceRevoke { device } => value(devices.revoke(&device).await?),
        Command::DeviceOwner { device, owner } => value(devices.mark(&device, owner).await?),
        _ => Err(Failure::new(
            ErrorKind::Usage,
            "this is no command about devices",
        )),
    }
}
