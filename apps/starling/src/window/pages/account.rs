//! The account: the first-run page, the page of the own account with its backup, and what home shows.

use maud::{Markup, html};
use starling_control::view::{Pairing, Status};

use super::frame::{Shell, bird, form};
use super::icon::{Icon, icon};
use super::{devices, side, words};

/// The first page anybody sees.
pub fn first_run(shell: &Shell, joining: Option<&Pairing>) -> Markup {
    let create = html! {
        label for="name" { "Your name, as your contacts will see it" }
        input id="name" name="name" required maxlength="60" dir="auto" autocomplete="off" autofocus;
        details {
            summary { "I have a link or a network file" }
            label for="source" { "Paste the link, or the file's text" }
            textarea id="source" name="source" rows="4" maxlength="65536" spellcheck="false" {}
            (text_file("source"))
        }
        button.primary type="submit" { "Create my account" }
    };
    let restore = html! {
        label for="file" { "Where the backup lies (its whole path)" }
        input id="file" name="file" required spellcheck="false" placeholder="/home/…";
        label.file-pick.scripted { "Or choose it" input type="file" data-upload-into="file"; }
        label for="passphrase" { "Its passphrase" }
        input id="passphrase" name="passphrase" type="password" required autocomplete="off";
        button.quiet type="submit" { "Restore" }
    };
    let words = html! {
        p { "First join the account's network: its file, its link, or a friend's link." }
        label for="words-source" { "Link or file's text (leave empty if this profile has joined already)" }
        textarea id="words-source" name="source" rows="2" maxlength="65536" spellcheck="false" {}
        label for="words" { "The 24 words, in their order" }
        textarea id="words" name="words" rows="3" required maxlength="1000" spellcheck="false" autocomplete="off" autocapitalize="none" {}
        label.check { input type="checkbox" name="anyway" value="yes"; " Also if the network does not know the account any more (its contacts are lost then)" }
        p.hint { "Every device that the account has now is revoked. Your contacts come back when their devices have answered." }
        button.quiet type="submit" { "Bring my account back" }
    };
    html! {
        div.welcome {
            div.mark { (bird()) }
            h1 { "Welcome to Starling" }
            p.lead { "Calls, chat and files between your machine and your friends' machines. No server in the middle, keys only on your devices." }
            (form(shell, "account-create", "panel stack", create))
            p.hint { "The account is made on this machine and lies only here. No address, no number, no password. This machine does nothing for others unless you say so later." }
            details.panel open[joining.is_some()] {
                summary { "I have Starling on another device" }
                p { "On that device: Account, Devices, then show a link." }
                (devices::region(shell, joining, true))
            }
            details.panel { summary { "I have a backup of my account" } (form(shell, "account-restore", "stack", restore)) }
            details.panel { summary { "I have its 24 words" } (form(shell, "account-words", "stack", words)) }
        }
    }
}

/// Lets the script read a chosen text file into a field.
pub fn text_file(into: &str) -> Markup {
    html! { label.file-pick.scripted { "Or choose the file" input type="file" data-text-into=(into); } }
}

/// Home: nothing chosen yet.
pub fn home(shell: &Shell) -> Markup {
    let account = shell.status.account.clone().unwrap_or_default();
    html! {
        div.welcome.at-ease {
            div.mark { (bird()) }
            h1 { "Hello, " (words::name(&account.name)) }
            p.lead { "Choose somebody on the left, or begin here." }
            ul.begin {
                li { (form(shell, "echo-open", "inline", html! {
                    button.tile type="submit" { (icon(Icon::Sound)) strong { "Test your sound" } span { "Call Echo and hear yourself back" } } })) }
                li { a.tile href="my-link" { (icon(Icon::Link)) strong { "Send somebody your link" } span { "They ask, you decide" } } }
                li { a.tile href="add" { (icon(Icon::Add)) strong { "Add a contact" } span { "By the link they sent you" } } }
            }
            @if shell.status.network.is_none() {
                p.hint {
                    "You belong to no network yet, so you reach people on this machine and this local network. Two people at two homes need one "
                    "reachable machine: " a href="network" { "make or join a network" } "."
                }
            }
            (warnings(&shell.status))
            @if let Some(reminder) = &shell.status.reminder { p.hint { (words::plain(reminder)) } }
        }
    }
}

/// What a person should know.
pub fn warnings(status: &Status) -> Markup {
    html! {
        @if !status.warnings.is_empty() {
            ul.warnings { @for warning in &status.warnings { li { (words::plain(warning)) } } }
        }
    }
}

/// The own account.
pub fn page(shell: &Shell) -> Markup {
    let account = shell.status.account.clone().unwrap_or_default();
    let home = std::env::var("HOME").unwrap_or_default();
    let backup = html! {
        label for="file" { "Write it to (a new file, its whole path)" }
        input id="file" name="file" required spellcheck="false" value={ (home) "/starling-account.backup" };
        label for="passphrase" { "Passphrase, at least 8 characters" }
        input id="passphrase" name="passphrase" type="password" minlength="8" required autocomplete="new-password";
        label for="again" { "The same again" }
        input id="again" name="again" type="password" minlength="8" required autocomplete="new-password";
        button.primary type="submit" { "Write the backup" }
    };
    html! {
        article.sheet {
            header.person {
                (side::avatar(&account.id, &account.name, None))
                div { h1 { (words::name(&account.name)) } p.line { "Your account" } }
            }
            dl.facts {
                dt { "Account id" } dd { code { (account.id) } }
                dt { "This device" } dd { (words::name(&account.device_name)) " " code { (account.device) } }
                dt { "Stored in" } dd { code { (words::plain(&shell.status.home)) } }
            }
            p { a href="devices" { "Your devices" } ": add another one, or remove one." }
            p { a href="profile" { "Your profile" } ": name, text and picture, and who sees them." }
            p { a href="sound" { "Sound" } ": microphone, speaker, and what rings." }
            p { a href="microphone" { "Your microphone" } ": echo, noise, and how loud you are." }
            p { a href="names" { "Your name in this network" } }
            h2 { "Backup" }
            p { "Your account lies only on this device. Without a backup it is lost with it; nobody else can give it back." }
            (form(shell, "account-backup", "stack", backup))
            h2 { "Another device was stolen" }
            p { "The 24 words make this device the only one of your account. Contacts, messages and settings stay." }
            details { summary { "Recover with the words" } (form(shell, "account-recover", "stack", html! {
                label for="recover-words" { "The 24 words, in their order" }
                textarea id="recover-words" name="words" rows="3" required maxlength="1000" spellcheck="false" autocomplete="off" autocapitalize="none" {}
                button.quiet.danger type="submit" { "Make this the only device" }
            })) }
            h2 { "Delete the account" }
            p { "Contacts and supernodes are told, and everything on this machine goes: account, contacts, messages. Received files stay where they are." }
            details { summary { "Delete it" } (form(shell, "account-delete", "stack", html! {
                label for="delete-name" { "Type the account's name, " (words::name(&account.name)) ", if you mean it" }
                input id="delete-name" name="name" required autocomplete="off" dir="auto";
                label.check { input type="checkbox" name="with_network" value="yes"; " Also if the network's key is lost with it" }
                button.quiet.danger type="submit" { "Delete my account" }
            })) }
            h2 { "Quit" }
            p { "Closing the window leaves Starling running, so that calls and messages reach you." }
            (form(shell, "node-stop", "inline", html! { button.quiet.danger type="submit" { "Quit Starling" } }))
        }
    }
}
