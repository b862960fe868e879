//! Key packages: by which a device is taken into groups while it is away. It makes a batch, leaves it with its home supernodes,
//! and each is used once; one of last resort is used when the others are gone.
//!
//! Times are Unix seconds. openmls compares lifetimes with the wall clock when a commit is *processed*, and has no switch for it. With
//! lifetimes that end, members whose clocks differ, or who come late, would not agree on a commit that adds by such a package, and
//! whoever wanted to part them could choose the second. So a package's lifetime begins at 0 and ends beyond all clocks, and its end says
//! when it was made: at [`ENDLESS_S`] and that time. Every other lifetime is void, whatever the clock says. How old a package may be is
//! for whoever adds by it.

use openmls::prelude::tls_codec::DeserializeBytes as _;
use openmls::prelude::{
    KeyPackage as MlsKeyPackage, KeyPackageBundle, Lifetime, MlsMessageBodyIn, MlsMessageIn,
    MlsMessageOut, OpenMlsProvider as _, ProtocolVersion,
};
use starling_wire::credential::Member;

use super::client::Client;
use super::error::{KeyPackageError, StateError};
use super::identity::capabilities;
use super::rows::{Kind, decode, own_key};
use super::suite::Suite;

const DAY_S: u64 = 24 * 3600;
/// Added to the time at which a package was made, it is the end of its lifetime.
pub const ENDLESS_S: u64 = 1 << 63;
/// By how much the clock of whoever made a package may be ahead.
pub const AHEAD_MAX_S: u64 = 7 * DAY_S;
/// How long after it was made a package's private half is kept.
pub const LIFETIME_S: u64 = 77 * DAY_S;
/// For how long it must be kept yet when a device is added by it: longer than anything waits.
pub const LEFT_MIN_S: u64 = 35 * DAY_S;
/// After how long a device makes new ones.
pub const RENEW_S: u64 = 7 * DAY_S;
/// Bytes of one package.
pub const KEY_PACKAGE_MAX: usize = 8 * 1024;
/// Packages of one batch.
pub const BATCH_MAX: usize = 100;

/// Another device's key package, verified.
#[derive(Debug, Clone)]
pub struct KeyPackage {
    pub(super) inner: MlsKeyPackage,
    suite: Suite,
    member: Member,
}

impl KeyPackage {
    /// Whose.
    pub const fn member(&self) -> Member {
        self.member
    }

    /// For groups of this suite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether it is the one of last resort.
    pub fn is_last_resort(&self) -> bool {
        self.inner.last_resort()
    }
}

/// The lifetime of what is made now.
pub(super) fn lifetime(now_s: u64) -> Lifetime {
    Lifetime::init(0, ENDLESS_S.saturating_add(now_s))
}

/// When what has this lifetime was made (`MLS-06`); none for a lifetime of another form.
pub(super) fn made_at(lifetime: &Lifetime) -> Option<u64> {
    let made = lifetime.not_after().checked_sub(ENDLESS_S)?;
    (lifetime.not_before() == 0).then_some(made)
}

impl Client {
    /// Makes packages and keeps their private halves. At most [`BATCH_MAX`] at once.
    pub fn make_key_packages(
        &mut self,
        suite: Suite,
        count: usize,
        now_s: u64,
    ) -> Result<Vec<Vec<u8>>, StateError> {
        let count = count.min(BATCH_MAX);
        (0..count).map(|_| self.make(suite, false, now_s)).collect()
    }

    /// Makes the package that is used when no other is left. It is used more than once, so it is renewed as often as the
    /// others.
    pub fn make_last_resort(&mut self, suite: Suite, now_s: u64) -> Result<Vec<u8>, StateError> {
        self.make(suite, true, now_s)
    }

    fn make(&mut self, suite: Suite, last_resort: bool, now_s: u64) -> Result<Vec<u8>, StateError> {
        let mut builder = MlsKeyPackage::builder()
            .key_package_lifetime(lifetime(now_s))
            .leaf_node_capabilities(capabilities());
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let identity = &self.identity;
        let bundle = builder
            .build(
                suite.ciphersuite(),
                &self.provider,
                identity,
                identity.credential_with_key(),
            )
            .map_err(|_| StateError::Fault)?;
        let message = MlsMessageOut::from(bundle.into_key_package());
        message.to_bytes().map_err(|_| StateError::Fault)
    }

    /// Reads another device's package (`MLS-06`).
    pub fn read_key_package(
        &mut self,
        bytes: &[u8],
        now_s: u64,
    ) -> Result<KeyPackage, KeyPackageError> {
        if bytes.len() > KEY_PACKAGE_MAX {
            return Err(KeyPackageError::Malformed);
        }
        let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes);
        let Ok(MlsMessageBodyIn::KeyPackage(read)) = message.map(MlsMessageIn::extract) else {
            return Err(KeyPackageError::Malformed);
        };
        let claimed = read.unverified_credential();
        let member = self
            .members
            .verify(&claimed.credential, claimed.signature_key.as_slice())?;
        let inner = read
            .validate(self.provider.crypto(), ProtocolVersion::Mls10)
            .map_err(|error| match error {
                openmls::prelude::KeyPackageVerifyError::LifetimeError(_) => KeyPackageError::Dated,
                _ => KeyPackageError::Invalid,
            })?;
        check_lifetime(inner.life_time(), now_s)?;
        let suite = Suite::of(inner.ciphersuite()).ok_or(KeyPackageError::Suite)?;
        Ok(KeyPackage {
            inner,
            suite,
            member,
        })
    }

    /// How many packages of a suite still let somebody in, without the one of last resort.
    pub fn count_key_packages(&self, suite: Suite, now_s: u64) -> Result<usize, StateError> {
        let usable = |bundle: &KeyPackageBundle| {
            let package = bundle.key_package();
            package.ciphersuite() == suite.ciphersuite()
                && !package.last_resort()
                && ends(package.life_time()) >= now_s.saturating_add(LEFT_MIN_S)
        };
        let packages = self.own_key_packages()?;
        Ok(packages.iter().filter(|(_, bundle)| usable(bundle)).count())
    }

    /// Forgets the private halves of packages that no longer let anybody in anywhere.
    pub fn forget_expired_key_packages(&mut self, now_s: u64) -> Result<(), StateError> {
        for (key, bundle) in self.own_key_packages()? {
            if ends(bundle.key_package().life_time()) < now_s {
                self.provider.storage.rows(|rows| rows.set(key, None));
            }
        }
        Ok(())
    }

    fn own_key_packages(&self) -> Result<Vec<(Vec<u8>, KeyPackageBundle)>, StateError> {
        let start = own_key(Kind::KeyPackage, &[]);
        self.provider.storage.rows(|rows| {
            let found = rows.starting_with(&start);
            found
                .map(|(key, value)| Ok((key.to_vec(), decode(value)?)))
                .collect()
        })
    }
}

/// Until when the private half of what has this lifetime is kept.
fn ends(lifetime: &Lifetime) -> u64 {
    made_at(lifetime).map_or(0, |made| made.saturating_add(LIFETIME_S))
}

/// Made not long ago, so that the device still has the other half when it reads the Welcome late.
fn check_lifetime(lifetime: &Lifetime, now_s: u64) -> Result<(), KeyPackageError> {
    let made = made_at(lifetime).ok_or(KeyPackageError::Dated)?;
    if made > now_s.saturating_add(AHEAD_MAX_S) {
        return Err(KeyPackageError::Dated);
    }
    if ends(lifetime) < now_s.saturating_add(LEFT_MIN_S) {
        return Err(KeyPackageError::Expires);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mls_06_a_package_that_is_old_or_dated_otherwise_adds_nobody() {
        let made = 1_800_000_000;
        let fresh = lifetime(made);
        let last = made + LIFETIME_S - LEFT_MIN_S;
        assert_eq!(check_lifetime(&fresh, made), Ok(()));
        assert_eq!(check_lifetime(&fresh, made - AHEAD_MAX_S), Ok(()));
        assert_eq!(check_lifetime(&fresh, last), Ok(()));
        assert_eq!(
            check_lifetime(&fresh, last + 1),
            Err(KeyPackageError::Expires)
        );
        assert_eq!(
            check_lifetime(&fresh, made - AHEAD_MAX_S - 1),
            Err(KeyPackageError::Dated)
        );
        for odd in [
            Lifetime::init(1, ENDLESS_S + made),
            Lifetime::init(0, ENDLESS_S - 1),
            Lifetime::init(0, u64::MAX),
            Lifetime::init(made - 1, made + 70 * DAY_S),
        ] {
            assert_eq!(check_lifetime(&odd, made), Err(KeyPackageError::Dated));
        }
        assert_eq!(fresh.validate(), Ok(()), "by every clock");
    }
}
