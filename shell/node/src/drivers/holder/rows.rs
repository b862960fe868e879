//! What the holder's machine wants on disk, as rows of `store::logs`, and the machine as it was when the node ran last.

use std::collections::BTreeSet;

use starling_protocol::machine::Time;
use starling_protocol::mailbox::holder::{Caps, Holder, Persist, Restored, Setup};
use starling_protocol::mailbox::shelf::Item;
use starling_store::logs::{self, KeptBox, KeptEntry, KeptSlot, SlotRow};
use starling_store::{StoreError, Tx};
use starling_wire::ids::{EndpointKey, MailboxId};
use starling_wire::log::Head;
use starling_wire::log::grant::Grant;
use starling_wire::ordering::grounds::Grounds;

use crate::clock::{random, wall_s};

const DAY_S: u64 = 24 * 3600;

/// Days since 1970, UTC.
pub fn today() -> u32 {
    u32::try_from(wall_s() / DAY_S).unwrap_or(u32::MAX)
}

/// Writes one thing, within the transaction of its drain.
pub fn write(tx: &Tx<'_>, persist: &Persist) -> Result<(), StoreError> {
    match persist {
        Persist::Opened {
            mailbox,
            plan,
            grant,
            day,
        } => logs::open(tx, *mailbox, plan, grant, *day),
        Persist::Used { mailbox, day } => logs::note_used(tx, *mailbox, *day),
        Persist::Keep {
            number,
            until_day,
            entry,
        } => logs::keep(tx, entry, *number, *until_day),
        Persist::Drop {
            mailbox,
            numbers,
            dropped,
        } => logs::drop_entries(tx, *mailbox, numbers, *dropped),
        Persist::Closing { mailbox, day } => logs::close(tx, *mailbox, *day),
        Persist::Over {
            mailbox,
            remembered,
        } => logs::end(tx, *mailbox, *remembered),
        Persist::Forget { before } => logs::forget(tx, *before),
        Persist::Register { .. } | Persist::Settled { .. } | Persist::Next { .. } => {
            write_slot(tx, persist)
        }
    }
}

fn write_slot(tx: &Tx<'_>, persist: &Persist) -> Result<(), StoreError> {
    match persist {
        Persist::Register {
            mailbox,
            slot,
            promised,
            accepted,
            grounds,
        } => {
            let grounds = grounds.as_ref().map(Grounds::signed);
            let register = (*promised, *accepted);
            logs::keep_register(tx, (*mailbox, *slot), register, grounds.as_ref())
        }
        Persist::Settled {
            mailbox,
            certificate,
            next,
        } => {
            let place = (*mailbox, certificate.slot());
            let signed = certificate.signed();
            logs::settle(tx, place, certificate.entry(), &signed, *next)
        }
        Persist::Next {
            mailbox,
            slot,
            next,
        } => logs::note_next(tx, (*mailbox, *slot), *next),
        _ => Ok(()),
    }
}

/// An entry as it is sent: its head and its body.
pub type Read = (Head, Vec<u8>);

/// Entries to be sent, in this order: as many of the first ones as have `bytes` together, but one in any case. `None` for what has gone.
pub fn bodies(
    tx: &Tx<'_>,
    wanted: &[(MailboxId, u64)],
    bytes: usize,
) -> Result<Vec<Option<Read>>, StoreError> {
    let mut found = Vec::new();
    let mut read = 0;
    for (mailbox, number) in wanted {
        if read >= bytes {
            break;
        }
        let entry = logs::entry(tx, *mailbox, *number)?;
        read += entry.as_ref().map_or(0, |(_, body)| body.len());
        found.push(entry);
    }
    Ok(found)
}

/// All that was kept, but for the bodies.
#[derive(Debug)]
pub struct Kept {
    boxes: Vec<KeptWhole>,
    grants: Vec<(Grant, MailboxId)>,
    over: Vec<(MailboxId, u32)>,
}

#[derive(Debug)]
struct KeptWhole {
    kept: KeptBox,
    entries: Vec<KeptEntry>,
    slots: Vec<SlotRow>,
}

impl Kept {
    /// Reads it.
    pub fn load(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let whole = |kept: KeptBox| {
            Ok(KeptWhole {
                entries: logs::entries(tx, kept.mailbox)?,
                slots: logs::slots(tx, kept.mailbox)?,
                kept,
            })
        };
        let boxes = logs::boxes(tx)?.into_iter().map(whole);
        Ok(Self {
            boxes: boxes.collect::<Result<_, StoreError>>()?,
            grants: logs::grants(tx)?,
            over: logs::over(tx)?,
        })
    }

    /// A machine that knows it.
    pub fn restore(
        self,
        own: EndpointKey,
        (caps, issuers): (Caps, BTreeSet<EndpointKey>),
        now: Time,
    ) -> Holder {
        let mut holder = Holder::new(Setup {
            own,
            caps,
            issuers,
            today: today(),
            seed: u64::from_le_bytes(random()),
        });
        for whole in self.boxes {
            whole.restore(&mut holder, now);
        }
        for (grant, mailbox) in self.grants {
            holder.restore_grant(grant, mailbox);
        }
        for (mailbox, until) in self.over {
            holder.restore_over(mailbox, until);
        }
        holder
    }
}

impl KeptWhole {
    fn restore(self, holder: &mut Holder, now: Time) {
        let kept = self.kept;
        let mailbox = kept.mailbox;
        let restored = Restored {
            plan: kept.plan,
            used_day: kept.used_day,
            closing: kept.closing_day,
            last: kept.last,
            dropped: kept.dropped,
        };
        holder.restore_box(restored, now);
        for entry in self.entries {
            let item = Item {
                id: entry.id,
                kind: entry.head.kind,
                slot: entry.head.slot,
                cost: entry.head.cost(),
                until_day: entry.until_day,
            };
            holder.restore_entry(mailbox, entry.number, item);
        }
        for row in self.slots {
            let place = (mailbox, row.slot);
            match row.kept {
                KeptSlot::Open((promised, accepted)) => {
                    holder.restore_register(place, promised, accepted, row.bytes);
                }
                KeptSlot::Settled(entry, next) => {
                    holder.restore_settled(place, (entry, next), row.bytes, now);
                }
            }
        }
    }
}
