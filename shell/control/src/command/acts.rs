//! Which commands are a person's.

use super::Command;

impl Command {
    /// Whether a person did something with it, rather than a program looking on.
    pub const fn is_act(&self) -> bool {
        !matches!(
            self,
            Self::Status {}
                | Self::AccountShow {}
                | Self::NetworkShow {}
                | Self::RolesShow {}
                | Self::MailboxShow {}
                | Self::ContactList {}
                | Self::ContactEarlier {}
                | Self::ContactRequests {}
                | Self::ContactLink {}
                | Self::AudioDevices {}
                | Self::AudioMeter {}
                | Self::AudioTestState {}
                | Self::CallList { .. }
                | Self::CallMissed { .. }
                | Self::CallShow { .. }
                | Self::CallSettings {}
                | Self::FileList {}
                | Self::ChatLog { .. }
                | Self::PresenceShow {}
                | Self::PresenceOf { .. }
                | Self::ProcessingShow {}
                | Self::ProfileShow {}
                | Self::ProfileAvatar { .. }
                | Self::Events {}
                | Self::ChatRead { .. }
                | Self::NodeStop {}
        )
    }
}
