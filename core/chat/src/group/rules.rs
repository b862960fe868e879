//! What a commit may change of a group, and who may write in it (spec page "group", "Who may what").
//!
//! [`judge`] is a function of the commit and the epoch that it ends, of nothing else: no clock, no name, nothing that this device
//! alone knows. So all members find the same commits void.

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::credential::Member;
use starling_wire::group::leave::Leave;
use starling_wire::group::{Form, Record, RecordError, Role};
use starling_wire::ids::{AccountId, GroupId};

use crate::mls::Leaf;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

/// What a commit asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its author.
    pub by: Member,
    /// Whether its author had lost the group and comes back by it.
    pub external: bool,
    /// Devices that it takes in.
    pub added: &'a [Member],
    /// Devices that it takes out. Of an external commit, the leaf that its author had.
    pub removed: &'a [Member],
    /// The record that it writes, if it does.
    pub context: Option<&'a [u8]>,
    /// What its author signed with it: the wishes of those who leave ([`Leave::write_list`]).
    pub aad: &'a [u8],
}

/// Why a commit does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Denied {
    /// An owner's record that only a newer version can read. Not void: this device stops here.
    #[error(
        "the conversation's settings were written by a newer version of Starling; this one has to be updated"
    )]
    Newer,
    /// The record that it writes is none.
    #[error(transparent)]
    Record(RecordError),
    /// What stands beside it are no wishes to leave, or not of devices that are here, or not of now.
    #[error("it shows a wish to leave that is not valid")]
    Leave,
    /// Who comes back does nothing else.
    #[error("a device that comes back tried to do something else besides")]
    External,
    /// Its author's account was recovered without this device, or it takes in such a device.
    #[error("a device that its owner has revoked tried to do something, or was to be taken in")]
    Revoked,
    /// Its author may not take in somebody else.
    #[error("a member without the right to it tried to take somebody in")]
    Invite,
    /// Its author may not take out somebody else.
    #[error("a member without the right to it tried to take somebody out")]
    Remove,
    /// A conversation of two stays one of these two.
    #[error("somebody tried to make another conversation of this one")]
    Form,
    /// The other one's last device in a conversation of two.
    #[error("somebody tried to take the other one out of a conversation of two")]
    LastDevice,
    /// Its author may not change the settings.
    #[error("a member without the right to it tried to change the conversation's settings")]
    Settings,
    /// Its author may not give or take a role.
    #[error("a member without the right to it tried to give somebody another role")]
    Role,
    /// A role of an account that is not in the group.
    #[error("somebody who is not in the conversation was given a role")]
    NotThere,
    /// Its author may not change the holders.
    #[error("a listener tried to change where the conversation is kept")]
    Holders,
    /// The generation's number, or its check, is not the one that follows.
    #[error("the generation of the conversation's log does not follow from the one before")]
    Generation,
}

impl Denied {
    /// Whether all members skip the commit.
    pub const fn is_void(self) -> bool {
        !matches!(self, Self::Newer)
    }
}

/// Whether a commit that ends the epoch of `before` and `members` counts, and the record that follows it. `now_check` is the
/// [check](starling_wire::log::keys::Generation::check) of the present generation.
pub fn judge(
    before: &Record,
    members: &[Leaf],
    now_check: [u8; 32],
    group: GroupId,
    asked: &Asked<'_>,
) -> Result<Record, Denied> {
    if asked.external {
        return comes_back(before, asked);
    }
    let case = Case::new(before, members, asked);
    case.devices_count()?;
    let after = case.after()?;
    let leaves = case.leaves(group)?;
    case.may_take_in()?;
    case.may_take_out(&leaves)?;
    case.may_set(&after)?;
    case.may_give_roles(&after)?;
    case.generation_follows(&after, now_check)?;
    Ok(after)
}

/// `MLS-27`: whether a group that one is taken into is what its record says: in a pair nobody else is, and nobody has a role who is
/// not there.
pub fn fits(record: &Record, members: &[Leaf]) -> bool {
    let there: BTreeSet<_> = members.iter().map(|leaf| leaf.member.account).collect();
    match record.form {
        Form::Pair(accounts) => there.iter().all(|account| accounts.contains(account)),
        Form::Group => record.roles().all(|(account, _)| there.contains(&account)),
    }
}

/// What an account that is among `accounts` counts as. The highest role that anybody there has counts as [`Role::Owner`], so that
/// a group whose owners are gone can go on. In a pair, both are members.
pub fn standing(record: &Record, accounts: &BTreeSet<AccountId>, account: AccountId) -> Role {
    if record.form != Form::Group {
        return Role::Member;
    }
    let role = record.role(account);
    let highest = accounts.iter().map(|there| record.role(*there)).min();
    match highest.is_some_and(|highest| role <= highest) {
        true => Role::Owner,
        false => role,
    }
}

/// Whether an account may write: whoever is there and does not only listen.
pub fn may_write(record: &Record, accounts: &BTreeSet<AccountId>, account: AccountId) -> bool {
    accounts.contains(&account) && standing(record, accounts, account).is_at_least(Role::Member)
}

/// Whether whoever counted as `by` when he wrote may delete what somebody wrote who then counted as `of`: who stands above him.
/// What is one's own is no question of rank.
pub fn may_delete(by: Role, of: Role) -> bool {
    by.is_at_least(Role::Moderator) && by < of
}

/// `MLS-19`: an external commit replaces its author's leaf. That it is the same device is MLS-12's.
fn comes_back(before: &Record, asked: &Asked<'_>) -> Result<Record, Denied> {
    let nothing = asked.added.is_empty() && asked.context.is_none() && asked.aad.is_empty();
    let own = |gone: &Member| (gone.account, gone.device) == (asked.by.account, asked.by.device);
    match nothing && asked.removed.iter().all(own) {
        true => Ok(before.clone()),
        false => Err(Denied::External),
    }
}

/// A commit, and what follows from the group as it is before.
struct Case<'a> {
    before: &'a Record,
    members: &'a [Leaf],
    asked: &'a Asked<'a>,
    /// Accounts that have a device in the group, before and after.
    accounts: BTreeSet<AccountId>,
    accounts_after: BTreeSet<AccountId>,
    /// How often each account was recovered, by that of its devices that knows of most recoveries: before, and with those taken in.
    recoveries: BTreeMap<AccountId, u16>,
    recoveries_after: BTreeMap<AccountId, u16>,
    /// What the author counts as.
    rank: Role,
}

impl<'a> Case<'a> {
    fn new(before: &'a Record, members: &'a [Leaf], asked: &'a Asked<'a>) -> Self {
        let there = members.iter().map(|leaf| leaf.member);
        let added = asked.added.iter().copied();
        let accounts: BTreeSet<_> = there.clone().map(|member| member.account).collect();
        let gone: BTreeSet<_> = asked.removed.iter().map(|gone| gone.device).collect();
        let left = there
            .clone()
            .filter(|member| !gone.contains(&member.device));
        let after = left.chain(added.clone()).map(|member| member.account);
        Self {
            before,
            members,
            asked,
            rank: standing(before, &accounts, asked.by.account),
            accounts,
            accounts_after: after.collect(),
            recoveries: most_recoveries(there.clone()),
            recoveries_after: most_recoveries(there.chain(added)),
        }
    }

    /// `MLS-18`: the wishes beside the commit.
    fn leaves(&self, group: GroupId) -> Result<Vec<Leave>, Denied> {
        let leaves = Leave::read_list(self.asked.aad).map_err(|_| Denied::Leave)?;
        let now = self.before.generation.number;
        let may_say = |leave: &Leave| {
            let said = (leave.account, leave.device);
            let mut members = self.members.iter().map(|leaf| leaf.member);
            let here = members.find(|member| (member.account, member.device) == said);
            // Whoever stole a device does not take out those that the recovery named.
            let for_all = |member| !is_revoked(&self.recoveries, member);
            here.is_some_and(|member| !leave.wish.all_devices || for_all(member))
        };
        let valid = |leave: &Leave| {
            leave.wish.generation == now && may_say(leave) && leave.is_signed(group)
        };
        match leaves.iter().all(valid) {
            true => Ok(leaves),
            false => Err(Denied::Leave),
        }
    }

    /// `MLS-20`: a device that a recovery revoked changes nothing but its own keys, and is not taken in.
    fn devices_count(&self) -> Result<(), Denied> {
        let Asked { by, added, .. } = *self.asked;
        let nothing =
            added.is_empty() && self.asked.removed.is_empty() && self.asked.context.is_none();
        let author = nothing || !is_revoked(&self.recoveries, by);
        let mut added = added.iter();
        match author && !added.any(|member| is_revoked(&self.recoveries_after, *member)) {
            true => Ok(()),
            false => Err(Denied::Revoked),
        }
    }

    /// The record that the commit leaves.
    fn after(&self) -> Result<Record, Denied> {
        let Some(context) = self.asked.context else {
            return Ok(self.before.clone());
        };
        Record::read(context).map_err(|error| match error {
            // MLS-21: nobody else than an owner makes others wait for another version.
            RecordError::Newer if self.is_pair() || self.rank == Role::Owner => Denied::Newer,
            RecordError::Newer => Denied::Settings,
            other => Denied::Record(other),
        })
    }

    /// `MLS-22`.
    fn may_take_in(&self) -> Result<(), Denied> {
        for member in self.asked.added {
            if let Form::Pair(accounts) = self.before.form {
                if !accounts.contains(&member.account) {
                    return Err(Denied::Form);
                }
            } else if member.account != self.asked.by.account
                && !self.rank.is_at_least(self.before.invite)
            {
                return Err(Denied::Invite);
            }
        }
        Ok(())
    }

    /// `MLS-23`.
    fn may_take_out(&self, leaves: &[Leave]) -> Result<(), Denied> {
        let by = self.asked.by.account;
        let wants_to = |gone: Member| leaves.iter().any(|leave| leave.covers(gone));
        for gone in self.asked.removed {
            if gone.account == by || wants_to(*gone) || is_revoked(&self.recoveries_after, *gone) {
                continue;
            }
            if self.is_pair() {
                if !self.accounts_after.contains(&gone.account) {
                    return Err(Denied::LastDevice);
                }
            } else if !self.outranks(gone.account) {
                return Err(Denied::Remove);
            }
        }
        Ok(())
    }

    /// Whether the author may take out this account's devices.
    fn outranks(&self, account: AccountId) -> bool {
        match self.rank {
            Role::Owner => true,
            Role::Moderator => !self.before.role(account).is_at_least(Role::Moderator),
            Role::Member | Role::Listener => false,
        }
    }

    /// `MLS-24`: what people see is for moderators, the rest for owners, the holders for all who write.
    fn may_set(&self, after: &Record) -> Result<(), Denied> {
        let before = self.before;
        if after.form != before.form {
            return Err(Denied::Form);
        }
        let kept = after.history == before.history && after.invite == before.invite;
        let shown = after.topic == before.topic && after.picture == before.picture;
        let may =
            (kept || self.rank == Role::Owner) && (shown || self.rank.is_at_least(Role::Moderator));
        if !may {
            return Err(Denied::Settings);
        }
        let holders = after.generation.holders != before.generation.holders;
        match holders && !self.rank.is_at_least(Role::Member) {
            true => Err(Denied::Holders),
            false => Ok(()),
        }
    }

    /// `MLS-25`: owners give every role, moderators say who listens, and nobody has one who is not there.
    fn may_give_roles(&self, after: &Record) -> Result<(), Denied> {
        let there = &self.accounts_after;
        if self.asked.context.is_some() && after.roles().any(|(of, _)| !there.contains(&of)) {
            return Err(Denied::NotThere);
        }
        for account in there {
            let was = match self.accounts.contains(account) {
                true => self.before.role(*account),
                false => Role::Member,
            };
            let is = after.role(*account);
            let low = |role: Role| !role.is_at_least(Role::Moderator);
            let may = match self.rank {
                Role::Owner => true,
                Role::Moderator => low(was) && low(is),
                Role::Member | Role::Listener => false,
            };
            if was != is && !may {
                return Err(Denied::Role);
            }
        }
        Ok(())
    }

    /// `MLS-26`: another generation begins where somebody is taken out or the holders change, and nowhere else. Whoever is taken in
    /// within one can compare its check.
    fn generation_follows(&self, after: &Record, now_check: [u8; 32]) -> Result<(), Denied> {
        let (was, is) = (&self.before.generation, &after.generation);
        let begins = !self.asked.removed.is_empty() || is.holders != was.holders;
        let follows = if begins {
            is.check.is_none() && was.number.checked_add(1) == Some(is.number)
        } else {
            let told = is.check == Some(now_check);
            let same = is.check == was.check && self.asked.added.is_empty();
            is.number == was.number && (told || same)
        };
        follows.then_some(()).ok_or(Denied::Generation)
    }

    fn is_pair(&self) -> bool {
        self.before.form != Form::Group
    }
}

fn most_recoveries(members: impl Iterator<Item = Member>) -> BTreeMap<AccountId, u16> {
    let mut recoveries: BTreeMap<_, u16> = BTreeMap::new();
    for member in members {
        let most = recoveries.entry(member.account).or_default();
        *most = member.recoveries.max(*most);
    }
    recoveries
}

/// Whether another device of the account knows of more recoveries.
fn is_revoked(recoveries: &BTreeMap<AccountId, u16>, member: Member) -> bool {
    let most = recoveries.get(&member.account);
    most.is_some_and(|most| member.recoveries < *most)
}
