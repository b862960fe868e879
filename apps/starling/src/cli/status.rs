//! `starling status`: who am I, how am I reached, which path to whom, what do I carry, what should I know.

use starling_control::Command;
use starling_control::view::{PolicySetting as Setting, Status};

use super::profile::Settings;
use super::{Outcome, launch, print};

pub async fn run(settings: &Settings) -> Outcome {
    let status: Status = launch::ask(settings, Command::Status {}).await?;
    if settings.json {
        print::json(&status);
        return Ok(());
    }
    who(&status);
    reached(&status);
    paths(&status);
    carried(&status);
    if status.missed_calls > 0 {
        let count = status.missed_calls.to_string();
        field(
            "missed",
            &format!("{count} calls; see: starling call log --missed"),
        );
    }
    for warning in &status.warnings {
        print::say(&format!("Note: {}", print::text(warning)));
    }
    if let Some(reminder) = &status.reminder {
        print::say(&format!("Reminder: {}", print::text(reminder)));
    }
    Ok(())
}

fn field(name: &str, value: &str) {
    print::line(&format!("{name:<12}{}", print::text(value)));
}

fn who(status: &Status) {
    if let Some(account) = &status.account {
        field("name", &account.name);
        field("account", &account.id);
        field(
            "device",
            &format!("{} ({})", account.device_name, print::id(&account.device)),
        );
    }
    field("profile", &status.home);
    field("version", &status.version);
}

fn reached(status: &Status) {
    let network = status.network.as_ref().map(|network| {
        let owner = if network.owner { " (yours)" } else { "" };
        format!("{}{owner}", network.name)
    });
    field(
        "network",
        network
            .as_deref()
            .unwrap_or("none: this machine and its local network"),
    );
    if let Some(supernode) = &status.supernode {
        let own = if supernode.own { ", this machine" } else { "" };
        field(
            "supernode",
            &format!("{} ({}{own})", supernode.address, supernode.words),
        );
    }
    if let Some(ms) = status.online_after_ms {
        field(
            "online",
            &format!("{:.2} s after the start", ms as f64 / 1000.0),
        );
    }
    for listening in &status.listening {
        field("listens", listening);
    }
    for words in &status.index {
        field("index", words);
    }
    for role in &status.roles {
        field("role", &format!("{}: {}", role.name, role.words));
    }
    for setting in &status.policy {
        let Setting { key, value } = setting;
        field(
            "policy",
            &format!("{key} = {value}, set by your organisation"),
        );
    }
}

fn paths(status: &Status) {
    let rows: Vec<Vec<String>> = status
        .paths
        .iter()
        .map(|path| {
            let rtt = path
                .rtt_ms
                .map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms"));
            vec![
                print::text(&path.who),
                print::text(&path.purpose),
                print::text(&path.kind),
                print::text(&path.remote),
                rtt,
            ]
        })
        .collect();
    section(
        &["path to", "for", "kind", "through", "there and back"],
        &rows,
    );
}

fn carried(status: &Status) {
    let rows: Vec<Vec<String>> = status
        .traffic
        .iter()
        .map(|row| {
            vec![
                print::text(&row.purpose),
                print::bytes(row.sent),
                print::bytes(row.received),
                row.cap_kbit_s
                    .map_or_else(|| "-".to_owned(), |cap| format!("{cap} kbit/s")),
            ]
        })
        .collect();
    section(&["bytes for", "sent", "received", "at most"], &rows);
}

fn section(head: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    print::line("");
    for text in print::table(head, rows) {
        print::line(&text);
    }
}
