//! Key packages at home supernodes: a device leaves its own, and takes those of its contacts' devices (spec page `super.md`).

use starling_wire::ids::{AccountId, DeviceId};
use starling_wire::key_package::{LEFT_BYTES_MAX, Packages, Taking, token};
use starling_wire::postage::ContactsKey;
use starling_wire::supernode::{Answer, Request, SupernodeAddr};

use crate::transport::front_door::FrontDoor;
use crate::transport::requests::{RequestError, Supernodes};

/// Leaves packages at a home supernode; each belongs to one home only, the one of last resort may lie at all. How many are kept there now,
/// beside the one of last resort: with nothing left, this only asks.
pub async fn leave(
    supernodes: &Supernodes,
    home: &SupernodeAddr,
    packages: Packages,
) -> Result<u32, RequestError> {
    let mut kept = 0;
    for part in parts(packages) {
        match supernodes.ask(home, &Request::LeavePackages(part)).await? {
            Answer::PackagesKept { fresh } => kept = fresh,
            _ => return Err(RequestError::Unexpected),
        }
    }
    Ok(kept)
}

/// A package of a contact's device, of the first of its homes that has one.
pub async fn take(
    door: &FrontDoor,
    supernodes: &Supernodes,
    homes: &[SupernodeAddr],
    (whose, contacts): ((AccountId, DeviceId), &ContactsKey),
) -> Result<Option<Vec<u8>>, RequestError> {
    let mut failed = None;
    for home in homes {
        let taking = Taking {
            account: whose.0,
            device: whose.1,
            token: token(contacts, whose, (home.id, door.key())),
        };
        match supernodes.ask(home, &Request::TakePackage(taking)).await {
            Ok(Answer::Package(Some(package))) => return Ok(Some(package)),
            Ok(Answer::Package(None)) => {}
            Ok(_) => failed = Some(RequestError::Unexpected),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

/// As much as fits into one request each, and one in any case.
fn parts(packages: Packages) -> Vec<Packages> {
    let mut parts = Vec::new();
    let mut part = Packages {
        last_resort: packages.last_resort,
        fresh: Vec::new(),
    };
    let mut bytes = part.last_resort.as_ref().map_or(0, Vec::len);
    for one in packages.fresh {
        if bytes + one.len() > LEFT_BYTES_MAX {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += one.len();
        part.fresh.push(one);
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_01_what_is_left_goes_in_requests_that_fit() {
        let packages = Packages {
            fresh: vec![vec![1; 3_000]; 40],
            last_resort: Some(vec![2; 3_000]),
        };
        let parts = parts(packages);
        assert!(parts.iter().all(Packages::fits));
        assert_eq!(parts.iter().map(|part| part.fresh.len()).sum::<usize>(), 40);
        assert_eq!(
            parts
                .iter()
                .filter(|part| part.last_resort.is_some())
                .count(),
            1
        );
        assert_eq!(super::parts(Packages::default()).len(), 1, "it asks");
    }
}
