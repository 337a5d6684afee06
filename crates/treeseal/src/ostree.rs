//! Commits of OSTree repositories: who has signed them, whether they are what they say, and which image
//! they are mounted as.

mod check_deployment;
mod error;
mod keys;
mod seen;
mod sign;
mod verify;

pub use check_deployment::{
    CheckedDeployment, Contradiction, DeployedImage, DeployedObjects, DeploymentRequest, Gap,
    Protection, Signature, check_deployment,
};
pub use error::CommitError;
pub use keys::KeySources;
pub use seen::SeenError;
pub use sign::{SignedCommit, sign_commit};
pub use verify::{CommitRequest, VerifiedCommit, verify_commit};
