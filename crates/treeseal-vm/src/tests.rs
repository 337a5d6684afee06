//! The tests, by the names that `cargo xtask vm` knows them by.

use crate::Job;

mod attacks;
mod digests;
mod features;
mod harness;
mod metadata;
mod mounted;
mod store;

pub(crate) const TESTS: &[(&str, Job)] = &[
    ("leftovers-are-noticed", harness::leftovers_are_noticed),
    ("damage-beneath-a-file-is-noticed", harness::damage_beneath_a_file_is_noticed),
    ("attacks-are-stopped", attacks::attacks_are_stopped),
    ("kernel-features", features::kernel_features),
    ("kernel-digests-are-ours", digests::kernel_digests_are_ours),
    ("verity-metadata-is-ours", metadata::verity_metadata_is_ours),
    ("damage-beneath-a-mount-is-eio", mounted::damage_beneath_a_mount_is_eio),
    ("object-swapped-while-mounted", mounted::object_swapped_while_mounted),
    ("other-objects-are-not-served", mounted::other_objects_are_not_served),
    ("no-proc-is-said", mounted::no_proc_is_said),
    ("objects-and-images-have-verity", store::objects_and_images_have_verity),
    ("object-directories-have-verity", store::object_directories_have_verity),
    ("damaged-objects-are-found-and-healed", store::damaged_objects_are_found_and_healed),
    ("a-copied-store-is-enforced-again", store::a_copied_store_is_enforced_again),
    ("stores-without-verity-say-why", store::stores_without_verity_say_why),
    ("sources-with-verity-are-not-read", store::sources_with_verity_are_not_read),
    ("sources-with-verity-on-btrfs-are-sealed", store::sources_with_verity_on_btrfs_are_sealed),
];
