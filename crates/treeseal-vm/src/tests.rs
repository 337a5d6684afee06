//! The tests, by the names that `cargo xtask vm` knows them by.

use crate::Job;

mod attacks;
mod digests;
mod features;
mod harness;
mod metadata;
mod mounted;
mod mounts;
mod ostree;
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
    ("imported-commits-share-blocks", store::imported_commits_share_blocks),
    ("damaged-objects-are-found-and-healed", store::damaged_objects_are_found_and_healed),
    ("a-copied-store-is-enforced-again", store::a_copied_store_is_enforced_again),
    ("stores-without-verity-say-why", store::stores_without_verity_say_why),
    ("sources-with-verity-are-not-read", store::sources_with_verity_are_not_read),
    ("sources-with-verity-on-btrfs-are-sealed", store::sources_with_verity_on_btrfs_are_sealed),
    ("a-sealed-tree-is-mounted", mounts::a_sealed_tree_is_mounted),
    ("changed-objects-are-not-served", mounts::changed_objects_are_not_served),
    ("changed-images-are-not-mounted", mounts::changed_images_are_not_mounted),
    ("images-without-verity-are-held-in-memory", mounts::images_without_verity_are_held_in_memory),
    ("stores-without-verity-are-not-mounted", mounts::stores_without_verity_are_not_mounted),
    ("refused-seals-are-not-mounted", mounts::refused_seals_are_not_mounted),
    ("changes-have-a-place-of-their-own", mounts::changes_have_a_place_of_their_own),
    ("owners-are-mapped", mounts::owners_are_mapped),
    ("records-say-what-was-mounted", mounts::records_say_what_was_mounted),
    ("the-program-is-a-mount-helper", mounts::the_program_is_a_mount_helper),
    ("images-are-mounted-as-composefs-does", mounts::images_are_mounted_as_composefs_does),
    ("deployments-are-verified-by-the-kernel", ostree::deployments_are_verified_by_the_kernel),
    ("deployments-without-verity-are-refused", ostree::deployments_without_verity_are_refused),
    ("mounting-works-as-its-page-says", mounts::mounting_works_as_its_page_says),
];
