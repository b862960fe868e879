//! Whose fault it is that openmls refuses a message (`MLS-13`). *Void* is only what is known to hang on nothing but the bytes and what all
//! members have of the epoch; each of its errors stands here by name. All else, faults of the library and what a later version may add, is
//! *mine*: a device that comes back too often is a nuisance, one that skips what the others merge is lost to them.

use openmls::framing::errors::MessageDecryptionError;
use openmls::group::{
    ExternalCommitValidationError, GroupContextExtensionsProposalValidationError,
    ProcessMessageError, ProposalValidationError, StageCommitError, ValidationError,
};
use openmls::prelude::{ApplyUpdatePathError, KeyPackageVerifyError};
use openmls::treesync::errors::{LeafNodeValidationError, LifetimeError};

use super::error::{Mine, OpenError, StateError, Void};
use super::storage::StorageError;

/// Why a commit was refused.
pub(super) fn judge_commit_message(error: ProcessMessageError<StorageError>) -> OpenError {
    match error {
        ProcessMessageError::StorageError(error) => error.into(),
        ProcessMessageError::GroupStateError(_) => StateError::NotMember.into(),
        ProcessMessageError::ValidationError(error) => judge_framing(error),
        ProcessMessageError::InvalidCommit(error) => judge_commit(error),
        ProcessMessageError::IncompatibleWireFormat => Void::Clear.into(),
        ProcessMessageError::UnauthorizedExternalApplicationMessage
        | ProcessMessageError::UnauthorizedExternalCommitMessage
        | ProcessMessageError::UnsupportedProposalType => Void::Proposal.into(),
        ProcessMessageError::LibraryError(_) => Mine::Fault.into(),
    }
}

/// Why a text was refused. It changes nothing, so one that only this device cannot open is skipped: nobody comes back for it.
pub(super) fn judge_text(error: ProcessMessageError<StorageError>) -> OpenError {
    match judge_commit_message(error) {
        OpenError::Mine(_) => Void::Sealed.into(),
        judged => judged,
    }
}

fn judge_framing(error: ValidationError) -> OpenError {
    match error {
        ValidationError::NoPastEpochData => OpenError::Old,
        ValidationError::UnableToDecrypt(error) => judge_opening(error),
        ValidationError::KeyPackageVerifyError(error) => judge_key_package(error),
        ValidationError::ExternalCommitValidation(error) => judge_external(error),
        ValidationError::WrongGroupId => Void::OtherGroup.into(),
        ValidationError::UnencryptedApplicationMessage | ValidationError::WrongWireFormat => {
            Void::Clear.into()
        }
        ValidationError::InvalidSignature
        | ValidationError::UnknownMember
        | ValidationError::MissingMembershipTag
        | ValidationError::InvalidMembershipTag
        | ValidationError::InvalidLeafNodeSignature => Void::Signature.into(),
        ValidationError::NotAnExternalAddProposal
        | ValidationError::NonMemberApplicationMessage
        | ValidationError::UnauthorizedExternalSender
        | ValidationError::NoExternalSendersExtension => Void::Proposal.into(),
        ValidationError::NoPath => Void::NoPath.into(),
        ValidationError::WrongEpoch
        | ValidationError::NotACommit
        | ValidationError::MissingConfirmationTag
        | ValidationError::UpdatePathError(_)
        | ValidationError::InvalidLeafNodeSourceType
        | ValidationError::InvalidSenderType
        | ValidationError::CommitterIncludedOwnUpdate
        | ValidationError::InvalidAddProposalCiphersuite
        | ValidationError::InvalidExtension(_) => Void::Commit.into(),
        _ => Mine::Fault.into(),
    }
}

/// The keys of commits and texts follow from the epoch's secrets, which all members have. openmls does not export the error of its
/// ratchets. Its variants are told apart by their names, which its version is pinned for and tests ask for.
fn judge_opening(error: MessageDecryptionError) -> OpenError {
    let error = match error {
        MessageDecryptionError::SecretTreeError(error) => format!("{error:?}"),
        MessageDecryptionError::GenerationOutOfBound
        | MessageDecryptionError::AeadError
        | MessageDecryptionError::WrongWireFormat
        | MessageDecryptionError::MalformedContent => return Void::Sealed.into(),
        _ => return Mine::Fault.into(),
    };
    match error.as_str() {
        "TooDistantInThePast" => OpenError::Old,
        "SecretReuseError" => OpenError::Repeated,
        "TooDistantInTheFuture" => Void::Gap.into(),
        "IndexOutOfBounds" => Void::Sealed.into(),
        _ => Mine::Fault.into(),
    }
}

fn judge_commit(error: StageCommitError) -> OpenError {
    match error {
        StageCommitError::ConfirmationTagMismatch => Mine::Confirmation.into(),
        StageCommitError::OwnCommitMismatch => Mine::Lost.into(),
        StageCommitError::MissingDecryptionKey | StageCommitError::OwnKeyNotFound => {
            Mine::Path.into()
        }
        StageCommitError::UpdatePathError(error) => judge_path(error),
        StageCommitError::ProposalValidationError(error) => judge_proposal(error),
        StageCommitError::LeafNodeValidation(error) => judge_leaf(error),
        StageCommitError::ExternalCommitValidation(error) => judge_external(error),
        StageCommitError::GroupContextExtensionsProposalValidationError(
            GroupContextExtensionsProposalValidationError::LibraryError(_),
        ) => Mine::Fault.into(),
        StageCommitError::GroupContextExtensionsProposalValidationError(_) => Void::Context.into(),
        // Who has the key that is asked for finds a proposal that MLS-11 forbids, who has it not this: all skip it.
        StageCommitError::PskError(_) | StageCommitError::DuplicatePskId(_) => {
            Void::Proposal.into()
        }
        StageCommitError::RequiredPathNotFound => Void::NoPath.into(),
        StageCommitError::EpochMismatch
        | StageCommitError::WrongPlaintextContentType
        | StageCommitError::PathLeafNodeVerificationFailure
        | StageCommitError::ConfirmationTagMissing
        | StageCommitError::AttemptedSelfRemoval
        | StageCommitError::MissingProposal
        | StageCommitError::InconsistentSenderIndex
        | StageCommitError::SenderTypeExternal
        | StageCommitError::SenderTypeNewMemberProposal
        | StageCommitError::TooManyNewMembers
        | StageCommitError::VerifiedUpdatePathError(_) => Void::Commit.into(),
        _ => Mine::Fault.into(),
    }
}

/// What a path holds for this device is seen by it alone; its length and its hashes are seen by all.
fn judge_path(error: ApplyUpdatePathError) -> OpenError {
    match error {
        ApplyUpdatePathError::UnableToDecrypt
        | ApplyUpdatePathError::PathMismatch
        | ApplyUpdatePathError::MissingOwnLeaf
        | ApplyUpdatePathError::MissingCiphertext
        // By this name: no key of this device opens what is there for it.
        | ApplyUpdatePathError::MissingSender => Mine::Path.into(),
        ApplyUpdatePathError::PathLengthMismatch
        | ApplyUpdatePathError::ParentHashMismatch
        | ApplyUpdatePathError::MissingParentHash
        | ApplyUpdatePathError::TreeFull
        | ApplyUpdatePathError::InconsistentSenderIndex => Void::Commit.into(),
        ApplyUpdatePathError::LibraryError(_) => Mine::Fault.into(),
    }
}

fn judge_proposal(error: ProposalValidationError) -> OpenError {
    match error {
        ProposalValidationError::LeafNodeValidation(error) => judge_leaf(error),
        ProposalValidationError::Psk(_)
        | ProposalValidationError::UnsupportedProposalType
        | ProposalValidationError::ExternalInitProposalInRegularCommit => Void::Proposal.into(),
        ProposalValidationError::UnknownMember
        | ProposalValidationError::DuplicateSignatureKey
        | ProposalValidationError::DuplicateEncryptionKey
        | ProposalValidationError::DuplicateInitKey
        | ProposalValidationError::InitEncryptionKeyCollision
        | ProposalValidationError::DuplicateMemberRemoval
        | ProposalValidationError::UnknownMemberRemoval
        | ProposalValidationError::UpdateFromNonMember
        | ProposalValidationError::CommitterIncludedOwnUpdate
        | ProposalValidationError::InsufficientCapabilities
        | ProposalValidationError::InvalidAddProposalCiphersuiteOrVersion => Void::Commit.into(),
        ProposalValidationError::LibraryError(_) => Mine::Fault.into(),
    }
}

fn judge_key_package(error: KeyPackageVerifyError) -> OpenError {
    match error {
        KeyPackageVerifyError::LifetimeError(error) => judge_lifetime(error),
        KeyPackageVerifyError::InvalidSignature
        | KeyPackageVerifyError::InvalidLeafNodeSignature => Void::Signature.into(),
        KeyPackageVerifyError::MissingLifetime
        | KeyPackageVerifyError::UnsupportedExtension
        | KeyPackageVerifyError::InvalidLeafNodeSourceType
        | KeyPackageVerifyError::InitKeyEqualsEncryptionKey
        | KeyPackageVerifyError::InvalidProtocolVersion
        | KeyPackageVerifyError::ExtensionTypeNotValidInKeyPackage(_) => Void::Commit.into(),
        KeyPackageVerifyError::LibraryError(_) => Mine::Fault.into(),
    }
}

fn judge_leaf(error: LeafNodeValidationError) -> OpenError {
    match error {
        LeafNodeValidationError::Lifetime(error) => judge_lifetime(error),
        LeafNodeValidationError::UnsupportedExtensions
        | LeafNodeValidationError::UnsupportedProposals
        | LeafNodeValidationError::UnsupportedCredentials
        | LeafNodeValidationError::CredentialNotInCapabilities
        | LeafNodeValidationError::ExtensionsNotInCapabilities
        | LeafNodeValidationError::CiphersuiteNotInCapabilities
        | LeafNodeValidationError::SignatureKeyAlreadyInUse
        | LeafNodeValidationError::EncryptionKeyAlreadyInUse
        | LeafNodeValidationError::InvalidLeafNodeSource
        | LeafNodeValidationError::LeafNodeCredentialNotSupportedByMember
        | LeafNodeValidationError::MemberCredentialNotSupportedByLeafNode => Void::Commit.into(),
    }
}

/// `MLS-06`: a lifetime of our form is valid by every clock after 1970. Any other one is void for those whose clock does not mind it, so it
/// is for those whose clock does.
fn judge_lifetime(error: LifetimeError) -> OpenError {
    match error {
        LifetimeError::Expired { .. } | LifetimeError::NotValidYet { .. } => Void::Commit.into(),
        LifetimeError::SystemTimeBeforeUnixEpoch => Mine::Clock.into(),
    }
}

fn judge_external(error: ExternalCommitValidationError) -> OpenError {
    match error {
        ExternalCommitValidationError::NoPath => Void::NoPath.into(),
        ExternalCommitValidationError::NoExternalInitProposals
        | ExternalCommitValidationError::MultipleExternalInitProposals
        | ExternalCommitValidationError::InvalidInlineProposals
        | ExternalCommitValidationError::MultipleRemoveProposals
        | ExternalCommitValidationError::InvalidRemoveProposal
        | ExternalCommitValidationError::ReferencedProposal
        | ExternalCommitValidationError::UnsupportedGroupContextExtensions => Void::Commit.into(),
        ExternalCommitValidationError::LibraryError(_) => Mine::Fault.into(),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use openmls::error::LibraryError;
    use openmls::group::{ExportSecretError, MlsGroup};
    use openmls_rust_crypto::OpenMlsRustCrypto;
    use openmls_traits::OpenMlsProvider as _;
    use starling_wire::account::Founding;
    use starling_wire::credential::Credential;
    use starling_wire::ids::DeviceId;

    use super::super::identity::Identity;
    use super::*;

    fn commit(error: StageCommitError) -> OpenError {
        judge_commit_message(ProcessMessageError::InvalidCommit(error))
    }

    fn framing(error: ValidationError) -> OpenError {
        judge_commit_message(ProcessMessageError::ValidationError(error))
    }

    /// openmls lets nobody else make one: a secret that is longer than its hash can make.
    fn fault() -> LibraryError {
        let device = SigningKey::from_bytes(&[2; 32]);
        let id = DeviceId(device.verifying_key().to_bytes());
        let chain = Founding::new(&[1; 32]).found(id, "laptop");
        let credential = Credential::of(&chain, id).unwrap();
        let identity = Identity::new(&device, &credential).unwrap();
        let provider = OpenMlsRustCrypto::default();
        let group = MlsGroup::builder()
            .build(&provider, &identity, identity.credential_with_key())
            .unwrap();
        match group.export_secret(provider.crypto(), "too long", &[], 60_000) {
            Err(ExportSecretError::LibraryError(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mls_13_what_hangs_on_this_devices_secrets_is_its_own_trouble() {
        for path in [
            ApplyUpdatePathError::UnableToDecrypt,
            ApplyUpdatePathError::PathMismatch,
            ApplyUpdatePathError::MissingSender,
            ApplyUpdatePathError::MissingCiphertext,
            ApplyUpdatePathError::MissingOwnLeaf,
        ] {
            let judged = commit(StageCommitError::UpdatePathError(path));
            assert_eq!(judged, OpenError::Mine(Mine::Path));
        }
        let judged = commit(StageCommitError::ConfirmationTagMismatch);
        assert_eq!(judged, OpenError::Mine(Mine::Confirmation));
    }

    #[test]
    fn mls_13_what_nobody_knows_the_reason_of_is_never_void() {
        let mine = OpenError::Mine(Mine::Fault);
        let fault_in_decryption = MessageDecryptionError::LibraryError(fault());
        for judged in [
            judge_commit_message(ProcessMessageError::LibraryError(fault())),
            framing(ValidationError::LibraryError(fault())),
            framing(ValidationError::UnableToDecrypt(fault_in_decryption)),
            framing(KeyPackageVerifyError::LibraryError(fault()).into()),
            framing(ExternalCommitValidationError::LibraryError(fault()).into()),
            commit(StageCommitError::LibraryError(fault())),
            commit(ProposalValidationError::LibraryError(fault()).into()),
            commit(ApplyUpdatePathError::LibraryError(fault()).into()),
            commit(GroupContextExtensionsProposalValidationError::LibraryError(fault()).into()),
        ] {
            assert_eq!(judged, mine);
        }
        let text = judge_text(ProcessMessageError::LibraryError(fault()));
        assert_eq!(
            text,
            OpenError::Void(Void::Sealed),
            "nobody comes back for a text"
        );
    }

    #[test]
    fn mls_06_no_clock_after_1970_decides_about_a_commit() {
        let expired = LifetimeError::Expired {
            not_after: 1,
            now: 2,
        };
        let early = LifetimeError::NotValidYet {
            not_before: 2,
            now: 1,
        };
        for lifetime in [expired, early] {
            let leaf = LeafNodeValidationError::Lifetime(lifetime.clone());
            assert_eq!(commit(leaf.into()), OpenError::Void(Void::Commit));
            let package = KeyPackageVerifyError::LifetimeError(lifetime);
            assert_eq!(framing(package.into()), OpenError::Void(Void::Commit));
        }
        let none = KeyPackageVerifyError::LifetimeError(LifetimeError::SystemTimeBeforeUnixEpoch);
        assert_eq!(framing(none.into()), OpenError::Mine(Mine::Clock));
    }

    #[test]
    fn mls_13_what_is_wrong_for_all_is_void() {
        for path in [
            ApplyUpdatePathError::PathLengthMismatch,
            ApplyUpdatePathError::ParentHashMismatch,
            ApplyUpdatePathError::MissingParentHash,
        ] {
            let judged = commit(StageCommitError::UpdatePathError(path));
            assert_eq!(judged, OpenError::Void(Void::Commit));
        }
        let judged = commit(StageCommitError::MissingProposal);
        assert_eq!(judged, OpenError::Void(Void::Commit));
        let judged = framing(ValidationError::InvalidSignature);
        assert_eq!(judged, OpenError::Void(Void::Signature));
        let judged = framing(ValidationError::UnableToDecrypt(
            MessageDecryptionError::AeadError,
        ));
        assert_eq!(judged, OpenError::Void(Void::Sealed));
    }
}
