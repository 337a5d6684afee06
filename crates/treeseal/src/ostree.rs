//! Commits of OSTree repositories: who has signed them, whether they are what they say, and which image
//! they are mounted as.

mod change;
mod check_deployment;
mod deploy;
mod embed;
mod error;
mod export;
mod keys;
mod seals;
mod seen;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

pub use check_deployment::{
    CheckedDeployment, Contradiction, DeployedImage, DeployedObjects, DeploymentRequest, Gap,
    Protection, Signature, check_deployment,
};
pub(crate) use deploy::open_image;
pub use deploy::{
    DeployRequest, ImageCheck, SealedEntry, Unsealed, VerifiedDeployment, verify_deployment,
};
pub(crate) use embed::put_beside;
pub use embed::{EmbeddedSeal, embed_seal};
pub use error::CommitError;
pub use export::{ExportRequest, Exported, export};
pub use keys::KeySources;
pub(crate) use seals::CommitSeals;
pub use seals::{CommitSeal, RefusedSeal, SealPlace, SealProblem, store_of_repository};
pub use seen::SeenError;
pub use sign::{SignedCommit, attach_signature, sign_commit, write_request};
pub(crate) use verify::image_digest;
pub use verify::{CommitRequest, VerifiedCommit, verify_commit};
