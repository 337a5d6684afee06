//! Where passphrases and PINs come from: a descriptor, a systemd credential, the file beside a key, a
//! terminal. Never an argument, which every process could read.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::path::PathBuf;

use treeseal::Error;
use treeseal::keys::{Passphrases, Wanted, passphrase_beside};
use zeroize::{Zeroize as _, Zeroizing};

use crate::args::Passphrase;
use crate::environment;

/// The name of the credential, for `LoadCredential=` and its kin.
const CREDENTIAL: &str = "treeseal.passphrase";

/// Bytes of a line with a passphrase.
const MAX_LINE: usize = 16 * 1024;

/// The sources in their order; the first that has a passphrase gives it.
pub(crate) struct Sources {
    descriptor: Option<u32>,
    /// The descriptor once it is open: a line for each key.
    lines: Option<BufReader<File>>,
    credential: Option<PathBuf>,
}

impl Sources {
    pub(crate) fn new(arguments: &Passphrase) -> Self {
        let credential = environment::credentials().map(|directory| directory.join(CREDENTIAL));
        Self { descriptor: arguments.passphrase_fd, lines: None, credential }
    }
}

impl Passphrases for Sources {
    fn passphrase(&mut self, wanted: &Wanted) -> Result<Zeroizing<Vec<u8>>, Error> {
        if let Some(number) = self.descriptor {
            return self.next_line(number, wanted);
        }
        if let Some(path) = self.credential.as_ref().filter(|path| path.exists()) {
            return from_file(path);
        }
        if let Some(path) = wanted.key_file.as_ref().filter(|_| !wanted.is_new)
            && let Some(passphrase) = passphrase_beside(path)?
        {
            return Ok(passphrase);
        }
        from_terminal(wanted)
    }
}

impl Sources {
    /// The descriptor's next line: one for each key.
    fn next_line(&mut self, number: u32, wanted: &Wanted) -> Result<Zeroizing<Vec<u8>>, Error> {
        let path = PathBuf::from(format!("/proc/self/fd/{number}"));
        let failed =
            |source| Error::Io { action: "read a passphrase from", path: path.clone(), source };
        let lines = match &mut self.lines {
            Some(lines) => lines,
            lines => lines.insert(BufReader::new(File::open(&path).map_err(failed)?)),
        };
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
        let mut limited = io::Read::take(lines, MAX_LINE as u64);
        if limited.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Err(Error::NoPassphrase { what: wanted.what.clone() });
        }
        Ok(without_line_end(line))
    }
}

fn from_file(path: &PathBuf) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed =
        |source| Error::Io { action: "read a passphrase from", path: path.clone(), source };
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    let file = BufReader::new(File::open(path).map_err(failed)?);
    io::Read::take(file, MAX_LINE as u64).read_until(b'\n', &mut line).map_err(failed)?;
    Ok(without_line_end(line))
}

fn without_line_end(mut line: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    line
}

/// Asks on the terminal; for a new passphrase twice.
fn from_terminal(wanted: &Wanted) -> Result<Zeroizing<Vec<u8>>, Error> {
    let missing = || Error::NoPassphrase { what: wanted.what.clone() };
    // Without a person there, opening the terminal would fail later and say less.
    if !io::stderr().is_terminal() {
        return Err(missing());
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt).map_err(|_| missing());
    let mut first = ask(format!("{}: ", wanted.what))?;
    if wanted.is_new {
        let mut second = ask(format!("{}, again: ", wanted.what))?;
        let same = first == second;
        second.zeroize();
        if !same {
            first.zeroize();
            return Err(Error::PassphrasesDiffer);
        }
    }
    Ok(Zeroizing::new(first.into_bytes()))
}
