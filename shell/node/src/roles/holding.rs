//! What is kept in conversations' boxes for others: shown, bounded, and allowed at once.

use starling_control::{ErrorKind, Failure, view};
use starling_wire::log::frames::Refusal;

use super::settings::Rules;
use super::show;
use super::{Role, settings};
use crate::context::store_failure;
use crate::drivers::holder::Shown;
use crate::node::App;

/// Nobody has so much to give away, and the database counts its bytes in a disk's blocks.
const ROOM_MB_MAX: u32 = 1_000_000;

impl App {
    /// `mailbox.show`
    pub async fn mailbox_view(&self) -> Result<view::Mailbox, Failure> {
        let rules = self.rules().await.map_err(store_failure)?;
        let shown = self.supernode().map(|supernode| supernode.holding());
        let mut roles = self.role_views(&rules).into_iter();
        let role = roles.nth(Role::Mailbox as usize);
        Ok(view_of(
            &rules,
            role.unwrap_or_default(),
            &shown.unwrap_or_default(),
        ))
    }

    /// `mailbox.set`
    pub async fn set_mailbox(&self, change: view::MailboxChange) -> Result<view::Mailbox, Failure> {
        if change.room_mb.is_some_and(|room| room > ROOM_MB_MAX) {
            let sentence = "the room for other people's boxes is at most 1,000,000 MB";
            return Err(Failure::new(ErrorKind::Usage, sentence));
        }
        let _one = self.changing.lock().await;
        let rules = self.rules().await.map_err(store_failure)?;
        let wishes = changed(rules.wishes, &change);
        self.keep(wishes).await.map_err(store_failure)?;
        self.apply_roles().await?;
        self.mailbox_view().await
    }
}

fn changed(wishes: settings::Wishes, change: &view::MailboxChange) -> settings::Wishes {
    let mailbox_mb = match change.room_mb {
        None => wishes.mailbox_mb,
        Some(0) => None,
        Some(room) => Some(room),
    };
    settings::Wishes {
        mailbox_mb,
        mailbox_at_once: change.at_once.unwrap_or(wishes.mailbox_at_once),
        ..wishes
    }
}

fn view_of(rules: &Rules<'_>, role: view::Role, shown: &Shown) -> view::Mailbox {
    let figures = shown.figures;
    let refused = |(why, count): (&Refusal, &u64)| view::MailboxRefused {
        why: why.to_string(),
        count: *count,
    };
    view::Mailbox {
        on: role.on,
        words: role.words,
        boxes: figures.boxes as u64,
        entries: figures.entries as u64,
        bytes: figures.bytes,
        bytes_max: rules.holding().bytes,
        connections: figures.connections as u64,
        refused: shown.refused.iter().map(refused).collect(),
        at_once: rules.wishes.mailbox_at_once,
    }
}

/// What is kept, in words; nothing where nothing is.
pub fn words(shown: &Shown) -> Option<String> {
    let figures = shown.figures;
    let mut words = Vec::new();
    if figures.boxes > 0 {
        let es = if figures.boxes == 1 { "" } else { "es" };
        let bytes = show::megabytes(figures.bytes);
        words.push(format!(
            "{} box{es} of conversations, {bytes}",
            figures.boxes
        ));
    }
    if shown.leaving {
        words.push("they are given for an hour, then they go".to_owned());
    }
    if shown.crowded {
        words.push("takes no more: the disk is nearly full".to_owned());
    }
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use starling_protocol::mailbox::holder::Figures;
    use starling_wire::policy::Policy;

    use super::*;
    use crate::roles::settings::{Standing, Wishes};

    #[test]
    fn what_is_kept_is_said_in_words() {
        let mut shown = Shown::default();
        assert_eq!(words(&shown), None);
        shown.figures = Figures {
            boxes: 2,
            entries: 30,
            bytes: 3_440_000,
            connections: 1,
        };
        let said = words(&shown).unwrap();
        assert_eq!(said, "2 boxes of conversations, 3.4 MB");
        shown.leaving = true;
        shown.crowded = true;
        let said = words(&shown).unwrap();
        assert!(
            said.contains("for an hour") && said.contains("disk"),
            "{said}"
        );
    }

    #[test]
    fn policy_06_the_administrators_room_and_the_users_the_smaller_counts() {
        let policy = Policy::read("format = 1\n[caps]\nmailbox_mb = 100").unwrap();
        let change = |room_mb, at_once| view::MailboxChange { room_mb, at_once };
        let mut rules = Rules {
            policy: &policy,
            wishes: Wishes::default(),
            standing: Standing::default(),
        };
        let bytes = |rules: &Rules<'_>| rules.holding().bytes;
        assert_eq!(bytes(&rules), 100_000_000);
        rules.wishes = changed(rules.wishes, &change(Some(500), None));
        assert_eq!(bytes(&rules), 100_000_000);
        rules.wishes = changed(rules.wishes, &change(Some(5), Some(true)));
        assert_eq!(bytes(&rules), 5_000_000);
        let stays = changed(rules.wishes, &change(None, None));
        assert_eq!(stays, rules.wishes);
        rules.wishes = changed(rules.wishes, &change(Some(0), Some(false)));
        assert_eq!(rules.wishes, Wishes::default());
    }
}
