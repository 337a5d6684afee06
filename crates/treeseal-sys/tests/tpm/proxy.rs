//! A server between a client and a real TPM, which changes or withholds responses.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use treeseal_sys::TpmAddress;

/// What the client gets in place of a response.
pub(crate) enum Answer {
    /// These bytes.
    Send(Vec<u8>),
    /// These bytes, and then the end.
    Last(Vec<u8>),
    /// These bytes, and a moment later one more.
    OneMore(Vec<u8>),
    /// Nothing, for as long as it waits.
    Silence,
}

/// Long enough for a client to read what came before.
pub(crate) const MOMENT: Duration = Duration::from_millis(100);

/// Serves one connection.
pub(crate) struct Proxy {
    _dir: TempDir,
    path: PathBuf,
}

impl Proxy {
    /// `change` gets the number of the response, from 0, and the response. The command was carried
    /// out before.
    pub(crate) fn start(
        tpm: &Path,
        change: impl FnMut(usize, Vec<u8>) -> Answer + Send + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy");
        let listener = UnixListener::bind(&path).unwrap();
        let tpm = tpm.to_owned();
        thread::spawn(move || serve(&listener, &tpm, change));
        Self { _dir: dir, path }
    }

    /// A TPM that has a power cut after so many commands.
    pub(crate) fn cut_after(tpm: &Path, commands: usize) -> Self {
        Self::start(tpm, move |number, response| {
            if number < commands { Answer::Send(response) } else { Answer::Last(Vec::new()) }
        })
    }

    pub(crate) fn address(&self) -> TpmAddress {
        TpmAddress::Unix(self.path.clone())
    }
}

fn serve(listener: &UnixListener, tpm: &Path, mut change: impl FnMut(usize, Vec<u8>) -> Answer) {
    let (mut client, _) = listener.accept().unwrap();
    let mut tpm = UnixStream::connect(tpm).unwrap();
    let mut number = 0;
    while let Some(command) = read_once(&mut client) {
        tpm.write_all(&command).unwrap();
        let response = read_once(&mut tpm).unwrap();
        match change(number, response) {
            Answer::Send(bytes) => client.write_all(&bytes).unwrap_or_default(),
            Answer::Last(bytes) => return client.write_all(&bytes).unwrap_or_default(),
            Answer::OneMore(bytes) => {
                client.write_all(&bytes).unwrap_or_default();
                thread::sleep(MOMENT);
                client.write_all(&[0]).unwrap_or_default();
            }
            Answer::Silence => {}
        }
        number += 1;
    }
}

/// Messages are short, so that each comes in one piece.
fn read_once(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 4096];
    let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
    buffer.truncate(length);
    Some(buffer)
}
