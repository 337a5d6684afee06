//! A disk that crashes at a chosen step, and then has lost what a disk may lose.
//!
//! Until it is synced, a change of a name may or may not have reached the disk, each on its own;
//! the content of a file may be there, cut short, or zeros of the right length. What was synced
//! stays. The fake lets every step happen for real, remembers what is not synced, and takes it back
//! after the crash.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use treeseal_sys::{Step, StepAction, StepHook};

/// What a crash does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is lost: the process was killed.
    Nothing,
    /// Everything.
    Everything,
    /// Names stay, content is cut to nothing.
    Content,
    /// Names stay, content becomes zeros of the same length.
    ContentZeroed,
    /// Each name and each content has its own fate, by a seed.
    Some(u64),
}

/// A disk that lets some steps happen and then none, and can take back what was not made durable.
#[derive(Debug)]
pub struct CrashingDisk {
    /// Where files are kept that may come back; on the same filesystem, outside the store.
    aside: PathBuf,
    stop_at: Option<usize>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    steps: usize,
    crashed: bool,
    /// Changes of names since they were synced, oldest first: what the name stood for before.
    names: Vec<(PathBuf, Option<PathBuf>)>,
    /// Files whose content is not synced, by inode: a name under which they can be reached.
    contents: HashMap<u64, PathBuf>,
    kept: usize,
}

impl CrashingDisk {
    /// A disk that lets `stop_at` steps happen.
    pub fn new(aside: &Path, stop_at: usize) -> Self {
        fs::create_dir_all(aside).unwrap();
        Self { aside: aside.to_owned(), stop_at: Some(stop_at), state: Mutex::default() }
    }

    /// The same disk for the next process: what was not synced is still not synced.
    pub fn after_kill(&mut self) {
        self.stop_at = None;
        self.state.lock().unwrap().crashed = false;
    }

    /// Whether a step was stopped.
    pub fn crashed(&self) -> bool {
        self.state.lock().unwrap().crashed
    }

    /// Takes back what was not synced.
    pub fn lose(&self, loss: Loss) {
        let mut state = self.state.lock().unwrap();
        let mut random = match loss {
            Loss::Some(seed) => seed,
            _ => 0,
        };
        let mut choose = |choices: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            (random >> 33) % choices
        };
        for path in state.contents.values() {
            let length = fs::metadata(path).unwrap().len();
            match loss {
                Loss::Nothing => {}
                Loss::Everything | Loss::Content => fs::write(path, "").unwrap(),
                Loss::ContentZeroed => zero(path, length),
                Loss::Some(_) => match choose(4) {
                    0 => fs::write(path, "").unwrap(),
                    1 => fs::File::options()
                        .write(true)
                        .open(path)
                        .unwrap()
                        .set_len(length / 2)
                        .unwrap(),
                    2 => zero(path, length),
                    _ => {}
                },
            }
        }
        let changes = std::mem::take(&mut state.names);
        match loss {
            Loss::Nothing | Loss::Content | Loss::ContentZeroed => {}
            Loss::Everything => {
                changes.iter().rev().for_each(|(path, before)| restore(path, before.as_deref()));
            }
            Loss::Some(_) => {
                // Each name gets one of the states that it has had since it was synced.
                let mut by_name: HashMap<&Path, Vec<Option<&Path>>> = HashMap::new();
                for (path, before) in &changes {
                    by_name.entry(path).or_default().push(before.as_deref());
                }
                let mut by_name: Vec<_> = by_name.into_iter().collect();
                // Deepest first, so that a directory that goes takes what is left in it.
                by_name
                    .sort_by_key(|(path, _)| (std::cmp::Reverse(path.components().count()), *path));
                for (path, states) in by_name {
                    let choice = choose(states.len() as u64 + 1);
                    if let Some(before) = states.get(usize::try_from(choice).unwrap()) {
                        restore(path, *before);
                    }
                }
            }
        }
    }
}

impl StepHook for CrashingDisk {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.crashed || Some(state.steps) == self.stop_at {
            state.crashed = true;
            return Err(io::Error::other("crash"));
        }
        state.steps += 1;
        let path = step.path;
        match step.action {
            StepAction::CreateDirectory | StepAction::CreateFile => {
                state.names.push((path.into(), None));
            }
            StepAction::Write => {
                let inode = fs::metadata(path).unwrap().ino();
                if !state.contents.contains_key(&inode) {
                    let kept = self.keep(path, &mut state);
                    state.contents.insert(inode, kept.unwrap());
                }
            }
            // The content stays what it was, and is lost or kept like any other.
            StepAction::EnableVerity => {}
            StepAction::SyncFile => {
                let inode = fs::metadata(path).unwrap().ino();
                state.contents.remove(&inode);
            }
            StepAction::SyncDirectory => {
                state.names.retain(|(name, _)| name.parent() != Some(path));
            }
            StepAction::SyncFilesystem => {
                state.names.clear();
                state.contents.clear();
            }
            StepAction::Rename => {
                for name in [step.from.unwrap(), path] {
                    let kept = self.keep(name, &mut state);
                    state.names.push((name.into(), kept));
                }
            }
            StepAction::Remove => {
                let kept = self.keep(path, &mut state);
                state.names.push((path.into(), kept));
            }
            other => panic!("what can a crash do to {other:?}?"),
        }
        Ok(())
    }
}

impl CrashingDisk {
    /// Gives a file a second name, so that it can come back.
    fn keep(&self, path: &Path, state: &mut State) -> Option<PathBuf> {
        state.kept += 1;
        let kept = self.aside.join(state.kept.to_string());
        fs::hard_link(path, &kept).ok().map(|()| kept)
    }
}

fn restore(path: &Path, before: Option<&Path>) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(path).unwrap();
    }
    if let Some(before) = before
        && path.parent().unwrap().is_dir()
    {
        fs::hard_link(before, path).unwrap();
    }
}

fn zero(path: &Path, length: u64) {
    fs::write(path, vec![0; usize::try_from(length).unwrap()]).unwrap();
}
