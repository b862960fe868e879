//! How far a log goes, who signed which part of it, and which registrar is the network's now. Each registrar signs the entries
//! after the one at which it took over; those of its predecessors that come after that one count no more.

use starling_wire::ids::NetworkId;
use starling_wire::name_log::{Equivocation, Position, Statement, VerifiedPage};
use starling_wire::record::registrar::Registrar;

/// One log, without what its entries say: 112 bytes each.
#[derive(Debug, Clone)]
pub struct History {
    network: NetworkId,
    positions: Vec<Position>,
    /// In the order of their epochs.
    offices: Vec<Registrar>,
}

/// What an appointment changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It was known, or its network's owner did not make it.
    Nothing,
    /// It is new. So many entries are kept: fewer than before if another registrar took over below them, none if it took
    /// over from another log than this one.
    Kept(u64),
}

impl History {
    /// As it was stored: the appointments in the order of their epochs, and every entry's position from the first on.
    pub const fn new(
        network: NetworkId,
        offices: Vec<Registrar>,
        positions: Vec<Position>,
    ) -> Self {
        Self {
            network,
            positions,
            offices,
        }
    }

    /// Entries.
    pub fn height(&self) -> u64 {
        self.positions.len() as u64
    }

    /// The registrar that the owner appointed last.
    pub fn office(&self) -> Option<&Registrar> {
        self.offices.last()
    }

    /// All that are known, in the order of their epochs.
    pub fn offices(&self) -> &[Registrar] {
        &self.offices
    }

    /// Its number; 0 while none is known.
    pub fn epoch(&self) -> u64 {
        self.office().map_or(0, |office| office.epoch)
    }

    /// Hash of the last entry; zeros if there is none.
    pub fn end(&self) -> [u8; 32] {
        self.positions.last().map_or([0; 32], |last| last.hash)
    }

    /// Where the log ends, as its registrar signed it.
    pub fn last(&self) -> Option<Statement> {
        self.at(self.height())
    }

    /// What was signed there.
    pub fn at(&self, height: u64) -> Option<Statement> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        Some(Statement {
            registrar: self.signer(height)?.clone(),
            position: *self.positions.get(index)?,
        })
    }

    /// `LOG-08`: whose the entry at this height is: the latest registrar's that took over before it.
    pub fn signer(&self, height: u64) -> Option<&Registrar> {
        let before = |office: &&Registrar| office.since.height < height;
        self.offices.iter().rev().find(before)
    }

    /// Where the entries end that `signer` of this height signed, if another one took over later.
    pub fn end_of(&self, office: &Registrar) -> u64 {
        let later = self
            .offices
            .iter()
            .filter(|other| other.epoch > office.epoch);
        let ends = later.map(|other| other.since.height);
        ends.min().unwrap_or(u64::MAX)
    }

    /// Whether the latest registrar took over from this very log, as far as it goes.
    pub fn leads_to_office(&self) -> bool {
        let since = self.office().map(|office| office.since);
        since.is_none_or(|since| match self.at_index(since.height) {
            Some(position) => position.hash == since.hash,
            None => true,
        })
    }

    /// Whether all is there up to where the latest registrar took over.
    pub fn reaches_office(&self) -> bool {
        let since = self.office().map_or(0, |office| office.since.height);
        self.height() >= since && self.leads_to_office()
    }

    /// `LOG-08`: an appointment became known.
    pub fn follow(&mut self, office: &Registrar) -> Followed {
        if office.epoch == 0 || !office.is_appointed_in(self.network) {
            return Followed::Nothing;
        }
        match self
            .offices
            .binary_search_by_key(&office.epoch, |known| known.epoch)
        {
            Ok(at) => {
                let known = &mut self.offices[at];
                if !known.is_same_office(office) || known.until >= office.until {
                    return Followed::Nothing;
                }
                *known = office.clone();
            }
            Err(at) => self.offices.insert(at, office.clone()),
        }
        self.keep_what_counts(office);
        Followed::Kept(self.height())
    }

    fn keep_what_counts(&mut self, office: &Registrar) {
        if office.epoch != self.epoch() {
            return;
        }
        let keep = if self.leads_to_office() {
            let signed = self.positions.last();
            let own = signed.is_some_and(|last| last.is_signed_by(office));
            if own {
                self.height()
            } else {
                office.since.height
            }
        } else {
            0
        };
        self.positions
            .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// `LOG-05`: the proof, if a page says something else of a height than this log, by the same registrar.
    pub fn contradicted_by(&self, page: &VerifiedPage) -> Option<Equivocation> {
        let mut theirs = page.statements();
        theirs.find_map(|said| self.at(said.position.height)?.against(&said))
    }

    /// What of a page is new and counts.
    pub fn rest_of(&self, page: VerifiedPage) -> Option<VerifiedPage> {
        let known = self
            .offices
            .iter()
            .find(|office| office.epoch == page.registrar().epoch);
        if !known.is_some_and(|known| known.is_same_office(page.registrar())) {
            return None;
        }
        let end = self.end_of(page.registrar());
        page.between(self.height(), end)
    }

    /// Takes the entries that follow. Whoever calls has looked whether they do.
    pub fn append(&mut self, page: &VerifiedPage) {
        let positions = page.entries().iter().map(|signed| signed.position());
        self.positions.extend(positions);
    }

    /// Takes one entry of our own.
    pub fn push(&mut self, position: Position) {
        self.positions.push(position);
    }

    /// Begins anew: it was another log than the one that the latest registrar took over.
    pub fn start_over(&mut self) {
        self.positions.clear();
    }

    fn at_index(&self, height: u64) -> Option<&Position> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        self.positions.get(index)
    }
}
