//! Walks a chain of trust roots with tough, as its own client does.
//!
//! ```text
//! tough-walk FIRST NEXT...
//! ```
//!
//! The first file is the root that the client was shipped with; the others are what a server offers
//! as successors, in this order, whatever versions they have. Each version that tough came to trust
//! is printed. Exit code 0: it trusts the last one; 1: it refused one, with its reason on stderr; 2:
//! no answer.
//!
//! No part of tough's update is repeated here. Its client asks for root after root, then for
//! `timestamp.json`: whoever is asked for that one knows that all roots before were accepted.

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream;
use tough::{ExpirationEnforcement, RepositoryLoader};
use tough::{Transport, TransportError, TransportErrorKind, TransportStream};
use url::Url;

fn main() -> ExitCode {
    let paths: Vec<String> = env::args().skip(1).collect();
    match walk(&paths) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(refusal)) => {
            eprintln!("refused: {refusal}");
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints the versions that tough came to trust, and gives its reason if it refused one.
fn walk(paths: &[String]) -> Result<Option<String>, Box<dyn Error>> {
    let files = paths.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    let (first, next) = files.split_first().ok_or("usage: tough-walk FIRST NEXT...")?;
    let server = Server { roots: next.into(), asked: Arc::default() };
    let outcome = tokio::runtime::Builder::new_current_thread()
        .build()?
        .block_on(load(first, server.clone()));
    let asked = server.asked();
    for version in asked.iter().filter_map(|name| trusted_version(name)) {
        println!("{version}");
    }
    let wanted = [vec![true; paths.len()], vec![false]].concat();
    let found: Vec<bool> = asked.iter().map(|name| trusted_version(name).is_some()).collect();
    if found == wanted && asked.last().is_some_and(|name| name == "timestamp.json") {
        return Ok(None);
    }
    Ok(Some(outcome.err().map_or_else(|| "tough asked for other files".to_owned(), reasons)))
}

/// tough asks for the successor of the version that it trusts.
fn trusted_version(asked: &str) -> Option<u64> {
    asked.strip_suffix(".root.json")?.parse::<u64>().ok()?.checked_sub(1)
}

async fn load(first: &Vec<u8>, server: Server) -> Result<(), Box<dyn Error>> {
    let datastore = tempfile::tempdir()?;
    let base = Url::parse("memory:///")?;
    // Whether the last root is expired is not a question about the chain.
    RepositoryLoader::new(first, base.clone(), base)
        .transport(server)
        .datastore(datastore.path())
        .expiration_enforcement(ExpirationEnforcement::Unsafe)
        .load()
        .await?;
    Ok(())
}

fn reasons(error: Box<dyn Error>) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Offers the roots one after the other and has nothing else; remembers what it was asked for.
#[derive(Clone, Debug)]
struct Server {
    roots: Arc<[Vec<u8>]>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Transport for Server {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let name = url.path().trim_start_matches('/').to_owned();
        let root = self.roots.get(asked.len()).filter(|_| trusted_version(&name).is_some());
        asked.push(name);
        match root {
            Some(root) => Ok(Box::pin(stream::iter([Ok(root.clone().into())]))),
            None => Err(TransportError::new(TransportErrorKind::FileNotFound, url)),
        }
    }
}
