//! The tests, by the names that `cargo xtask vm` knows them by.

use crate::Job;

mod digests;
mod features;
mod harness;

pub(crate) const TESTS: &[(&str, Job)] = &[
    ("leftovers-are-noticed", harness::leftovers_are_noticed),
    ("damage-beneath-a-file-is-noticed", harness::damage_beneath_a_file_is_noticed),
    ("kernel-features", features::kernel_features),
    ("fsverity-tool-agrees", digests::fsverity_tool_agrees),
];
