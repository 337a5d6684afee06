//! What became of an attack, in words that are the same in every run.

use super::enforcement::{Refusal, VERIFY};
use super::manifest::Failure;
use super::world::World;
use crate::init::FINDING;
use anyhow::{Context, Result, ensure};
use treeseal_testkit::attacks::Attack;

/// What stopped an attack, or that nothing had to.
#[derive(Debug)]
pub(super) struct Finding {
    when: &'static str,
    by: &'static str,
    message: String,
}

const NOTHING: &str = "–";
const HARMLESS: &str = "no effect: what is read is the newest release";

/// Words of a message, and what refuses with them.
type Judge = (&'static str, &'static str);

/// What refuses with words like these; the first that fits.
const JUDGES: [Judge; 21] = [
    ("command line", "the kernel's command line"),
    ("more than the limit of", "a limit of size"),
    (" is malformed: ", "the parser"),
    ("Input/output error", "fs-verity"),
    ("expected a regular file", "the store's format"),
    ("Too many levels of symbolic links", "the store's format"),
    (" is missing: ", "its absence"),
    (" bytes, expected ", "the object's size"),
    ("the kernel cannot check", "the check for fs-verity"),
    ("the image has", "the image's digest"),
    ("`/store/images/", "the image's digest"),
    ("`/store/objects/", "the object's digest"),
    ("the trust root has version", "the floor of root versions"),
    ("the trust root expired", "the root's expiry"),
    ("version 2 of the trust root", "the chain of roots"),
    ("the trust root `/store/roots", "the chain of roots"),
    ("accepted before", "the floor of the stream"),
    ("or later", "the floor of the stream"),
    ("the seal is for the stream", "the seal's stream"),
    ("the seal is not trusted", "the threshold"),
    ("`/store/seals/", "the store's format"),
];

/// What begins the kernel's messages, with the part of it that refuses.
const KERNEL_JUDGES: [Judge; 2] =
    [("overlayfs: ", "overlayfs, `verity=require`"), ("fs-verity ", "fs-verity")];

impl Finding {
    /// The reader got the newest release and nothing else.
    pub(super) fn harmless() -> Self {
        Self { when: NOTHING, by: NOTHING, message: HARMLESS.to_owned() }
    }

    pub(super) fn is_harmless(&self) -> bool {
        self.message == HARMLESS
    }

    /// A reader who checks nothing was fooled.
    pub(super) fn wrong(wrong: &anyhow::Error) -> Self {
        // How it is wrong has times and sizes in it.
        Self { when: "never", by: NOTHING, message: wrong.to_string() }
    }

    /// A reader who checks nothing found a file that could not be read.
    pub(super) fn failed_read(failure: &Failure) -> Self {
        Self { when: failure.when, by: NOTHING, message: failure.error.to_string() }
    }

    /// A reader who checks nothing found no tree.
    pub(super) fn nothing_served(error: &anyhow::Error, world: &World) -> Self {
        let message = treeseal::causes(error.as_ref()).join(": ");
        Self { when: "mount", by: NOTHING, message: plain(&message, world) }
    }

    pub(super) fn of_refused_mount(refusal: &Refusal, world: &World) -> Result<Self> {
        Self::new(refusal.when, plain(&refusal.message, world))
    }

    /// `logged` is what the kernel said when the read failed; nothing where it did not say who refuses.
    pub(super) fn of_failed_read(failure: &Failure, logged: &[String]) -> Option<Self> {
        let (said, by) = logged.iter().find_map(|said| {
            let (_, by) = KERNEL_JUDGES.iter().find(|(words, _)| said.starts_with(words))?;
            Some((said, by))
        })?;
        let message = format!("{}; the kernel's log: {}", failure.error, plain_log(said));
        Some(Self { when: failure.when, by, message })
    }

    /// `messages` is what `treeseal` printed.
    pub(super) fn of_scan(messages: &str, world: &World) -> Result<Self> {
        let said = messages.lines().filter_map(|line| {
            line.strip_prefix("error: ").or_else(|| line.strip_prefix("caused by: "))
        });
        Self::new(VERIFY, plain(&said.collect::<Vec<_>>().join(": "), world))
    }

    fn new(when: &'static str, message: String) -> Result<Self> {
        let found = JUDGES.iter().find(|(words, _)| message.contains(words));
        let (_, by) = found.with_context(|| format!("who says this? {message}"))?;
        Ok(Self { when, by, message })
    }

    /// Prints it, for whoever started the machine.
    pub(super) fn tell(&self, attack: &Attack, enforcement: &str) -> Result<()> {
        let fields = [attack.threat, attack.way, enforcement, self.when, self.by, &self.message];
        ensure!(fields.iter().all(|field| !field.contains('|')), "no field of a table: {fields:?}");
        println!("{FINDING}{}", fields.join(" | "));
        Ok(())
    }
}

/// Digests that are shorter than this are none.
const DIGEST_DIGITS: usize = 32;

/// The message without what differs from run to run: directories, and digests with their fan-out.
fn plain(message: &str, world: &World) -> String {
    let homes = world.homes();
    let message = homes.iter().fold(message.to_owned(), |text, home| text.replace(home, ""));
    without_fanout(&without_digests(&message))
}

/// A line of the kernel's log without device, inode and place: `fs-verity (vda, inode 7): ... pos=1`.
fn plain_log(line: &str) -> String {
    let line = line.split(" pos=").next().unwrap_or_default();
    let plain = line.split_once(" (").and_then(|(who, rest)| {
        let (place, said) = rest.split_once("): ")?;
        place.contains("inode").then(|| format!("{who}: {said}"))
    });
    without_digests(&plain.unwrap_or_else(|| line.to_owned()))
}

fn without_digests(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        plain.push_str(before);
        plain.push_str(if word.len() < DIGEST_DIGITS { word } else { "…" });
        rest = after;
    }
    plain + rest
}

/// `objects/ab/…` as `objects/…`.
fn without_fanout(text: &str) -> String {
    let mut parts = text.split("/…");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut plain, part| {
        let fanout = plain.rfind('/').unwrap_or(plain.len());
        plain.truncate(fanout);
        plain + "/…" + part
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_their_fanout_are_left_out() {
        let digest = "0123456789abcdef".repeat(4);
        let (fanout, rest) = digest.split_at(2);
        let text = format!("`/store/objects/{fanout}/{rest}` has {digest}, expected 5000 bytes");
        let plain = without_fanout(&without_digests(&text));
        assert_eq!(plain, "`/store/objects/…` has …, expected 5000 bytes");
    }

    #[test]
    fn the_kernel_says_nothing_of_inodes_and_places() {
        let line = "fs-verity (vda, inode 132): FILE CORRUPTED! pos=299008, level=-1";
        assert_eq!(plain_log(line), "fs-verity: FILE CORRUPTED!");
        let line = "overlayfs: lazy lowerdata lookup failed (etc/config, err=-2)";
        assert_eq!(plain_log(line), line);
    }
}
