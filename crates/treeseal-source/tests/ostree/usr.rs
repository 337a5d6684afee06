//! A large part of the machine's own `/usr`, as `ostree` keeps it in each mode, and its image as libostree
//! makes it.

use super::*;
use treeseal_testkit::require_root;

/// Regular files at least: more than fit into all batches at once.
const FILES: usize = 20_000;

/// Where they are looked for, from what is quick to commit to what is not.
const PLACES: [&str; 3] = ["/usr/share/man", "/usr/share", "/usr"];

/// The first place that has enough files.
fn place() -> &'static Path {
    let mut places = PLACES.map(Path::new).into_iter();
    places.find(|place| count_files(place) >= FILES).unwrap()
}

fn count_files(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(Result::unwrap);
    let counts = entries.map(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => count_files(&entry.path()),
        kind => usize::from(kind.is_file()),
    });
    counts.sum()
}

#[test]
fn every_object_of_usr_is_verified_in_every_mode_and_has_libostrees_image() {
    require_root("owners of files in a repository");
    let directory = TempDir::new().unwrap();
    let mut first: Option<(PathBuf, Checksum)> = None;
    for mode in ["bare", "archive", "bare-user", "bare-user-only"] {
        let path = directory.path().join(mode);
        made::init(made::ostree_with_images(), &path, mode);
        match &first {
            None => made::commit_with_image(&path, place()),
            Some((other, _)) => {
                let mut pull = made::ostree_with_images();
                pull.arg(made::repo(&path)).arg("pull-local");
                run(pull.arg(other).arg(made::BRANCH));
            }
        }
        let repository = Repository::open(&path).unwrap();
        let (commit, tree) = read(&repository, made::BRANCH).unwrap();
        let checksum = repository.resolve(made::BRANCH).unwrap();
        assert_eq!(first.get_or_insert((path, checksum)).1, checksum, "{mode}");
        assert_eq!(commit.composefs_digest.unwrap().as_slice(), digest_of(&tree), "{mode}");
        assert!(tree.entry_count() > FILES, "{mode}: {} names", tree.entry_count());
    }
}
