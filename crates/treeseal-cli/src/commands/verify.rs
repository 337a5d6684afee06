use serde_json::{Value, json};
use treeseal::trust::{Expiry, Signers, Standing, Statement, TrustRoot, Verified};
use treeseal::{Checked, SealFiles, SealedTree, verify_files};

use super::sign::named;
use super::{note_first_contact, stream};
use crate::args::Verify;
use crate::environment;
use crate::output::{Failure, Outcome, Output};
use crate::units::{now, span};

/// What was verified, from a store or from files.
struct Report<'r> {
    statement: &'r Verified<Statement>,
    root: &'r TrustRoot,
    image_checked: bool,
    /// Whether nothing was remembered of earlier seals; nothing, if that was not asked.
    is_first_contact: Option<bool>,
    objects: Objects,
}

/// What is known of the objects of a tree.
#[derive(Clone, Copy)]
enum Objects {
    /// There is no store with objects.
    NotHere,
    /// They lie in a repository of OSTree.
    Elsewhere,
    /// They could have been checked.
    NotRead,
    Checked(Checked),
}

pub(super) fn run(arguments: &Verify, output: &mut Output) -> Result<Outcome, Failure> {
    match &arguments.seal {
        Some(seal) => {
            let files = SealFiles {
                seal: seal.clone(),
                image: arguments.image.clone(),
                freshness: arguments.freshness.clone(),
                next_roots: arguments.next_root.clone(),
            };
            verify_alone(arguments, &files, output)
        }
        None => verify_stored(arguments, output),
    }
}

fn verify_stored(arguments: &Verify, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let name = arguments.stream.as_deref().unwrap_or_default();
    let sealed = SealedTree::open(&locations, &stream(name)?)?;
    let objects = match arguments.deep {
        true => {
            Objects::Checked(output.watch("verify", |_, progress| sealed.check_objects(progress))?)
        }
        false if sealed.is_elsewhere() => Objects::Elsewhere,
        false => Objects::NotRead,
    };
    if sealed.is_first_contact() {
        note_first_contact(&locations.state, output);
    }
    let report = Report {
        statement: sealed.statement(),
        root: sealed.root(),
        image_checked: true,
        is_first_contact: Some(sealed.is_first_contact()),
        objects,
    };
    report.write(output)
}

fn verify_alone(
    arguments: &Verify,
    files: &SealFiles,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let with_memory = arguments.places.state.is_some();
    if arguments.places.tpm.is_some() && !with_memory {
        return Err(Failure::usage(
            "a TPM is to be asked, and no memory is to be kept",
            "give --state as well: the floors in a TPM stand beside what is remembered there",
        ));
    }
    let mut places = arguments.places.clone();
    if places.root.is_some() {
        // There need be no place for a store, nor for a memory that nobody asked for.
        places.store.get_or_insert_default();
        places.state.get_or_insert_default();
    }
    let locations = environment::locations(&places)?;
    let wanted = arguments.stream.as_deref().map(stream).transpose()?;
    let verified = verify_files(&locations, files, wanted.as_ref(), with_memory)?;
    if wanted.is_none() {
        output.note(&format!(
            "the stream is the one that the seal names; `treeseal verify {} --seal ...` insists on it",
            verified.statement.stream
        ));
    }
    if !with_memory {
        output.note(
            "nothing was remembered or asked of earlier seals: give --state to keep older ones out",
        );
    } else if verified.is_first_contact {
        note_first_contact(&locations.state, output);
    }
    let report = Report {
        statement: &verified.statement,
        root: &verified.root,
        image_checked: verified.image_checked,
        is_first_contact: with_memory.then_some(verified.is_first_contact),
        objects: Objects::NotHere,
    };
    report.write(output)
}

impl Report<'_> {
    fn write(&self, output: &mut Output) -> Result<Outcome, Failure> {
        if let Some(reason) = &self.statement.freshness().ignored {
            output.note(&format!("the freshness statement was not used: {reason}"));
        }
        if output.is_json() {
            output.json(&self.to_json())?;
            return Ok(Outcome::Yes);
        }
        let statement = self.statement;
        output.line(format!("verified {} sequence {}", statement.stream, statement.sequence))?;
        for (label, text) in self.lines()? {
            output.line(format!("  {label:<10} {text}"))?;
        }
        Ok(Outcome::Yes)
    }

    fn lines(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let statement = self.statement;
        let mut lines = vec![("sealed", self.sealed()?)];
        for role in statement.signers() {
            lines.push(("signed by", self.role(role)));
            lines.extend(role.key_ids().map(|key| ("", named(Some(self.root), &key))));
        }
        lines.push(("expiry", self.expiry()));
        lines.push(("freshness", self.freshness()));
        lines.push((
            "root",
            format!("version {}, expires {}", statement.root_version(), self.root.expires()),
        ));
        for image in &statement.images {
            let sha256 = image.digests.sha256;
            lines.push(("image", format!("{image}, {} bytes, {sha256}", image.size)));
        }
        lines.push(("checked", self.checked()));
        Ok(lines)
    }

    fn sealed(&self) -> Result<String, Failure> {
        let created = self.statement.created;
        Ok(match span(created, now()?) {
            Some(age) => format!("{created}, {age} ago"),
            None => format!("{created}, which is later than this machine's clock"),
        })
    }

    fn role(&self, signers: &Signers) -> String {
        let keys = self.root.content().keys_of(signers.role()).count();
        format!(
            "{} of the {keys} keys of the role `{}`, {} needed",
            signers.keys().len(),
            signers.role(),
            signers.threshold()
        )
    }

    fn expiry(&self) -> String {
        let end = match self.statement.not_after {
            Some(end) => format!("the seal holds until {end}"),
            None => "the seal has no end".to_owned(),
        };
        match self.statement.expiry() {
            Expiry::InForce => end,
            Expiry::Expired(expired) => format!("{end}; but {expired}"),
            _ => format!(
                "{end}; this machine's clock is behind what was seen signed, so this is not certain"
            ),
        }
    }

    fn freshness(&self) -> String {
        let freshness = self.statement.freshness();
        let until = freshness.until.map_or("an unknown time".to_owned(), |until| until.to_string());
        match freshness.standing {
            Standing::NotRequired => "nobody says which seal is the newest".to_owned(),
            Standing::Current => format!("the newest, until {until}"),
            Standing::Tolerated => format!("the newest until {until}; nobody said so since"),
            Standing::Stale => format!("stale: the newest until {until}, and that is too long ago"),
            _ => format!("the newest until {until}; whether that is past is not known"),
        }
    }

    fn checked(&self) -> String {
        match self.objects {
            Objects::Checked(checked) => format!(
                "scan: every byte of {} objects checked, {} bytes",
                checked.objects, checked.bytes
            ),
            Objects::NotRead => "the image; objects not read: `--deep` reads them".to_owned(),
            Objects::Elsewhere => format!(
                "the image; its files lie in an OSTree repository: `treeseal ostree verify REPO REF \
                 --stream {}` reads them",
                self.statement.stream
            ),
            Objects::NotHere if self.image_checked => "the image".to_owned(),
            Objects::NotHere => {
                "the seal alone: `--image FILE` checks an image against it".to_owned()
            }
        }
    }

    fn to_json(&self) -> Value {
        let statement = self.statement;
        let freshness = statement.freshness();
        let checked = match self.objects {
            Objects::Checked(checked) => Some(checked),
            _ => None,
        };
        json!({
            "stream": statement.stream.to_string(),
            "sequence": statement.sequence.number(),
            "created": statement.created.to_string(),
            "notAfter": statement.not_after.map(|end| end.to_string()),
            "expiry": statement.expiry().code(),
            "freshness": {
                "standing": freshness.standing.code(),
                "until": freshness.until.map(|until| until.to_string()),
                "ignored": freshness.ignored,
            },
            "firstContact": self.is_first_contact,
            "roles": statement.signers().iter().map(|role| self.role_to_json(role)).collect::<Vec<_>>(),
            "root": {
                "version": statement.root_version(),
                "expires": self.root.expires().to_string(),
            },
            "payload": statement.payload_digest().to_hex(),
            "images": statement.images.iter().map(|image| json!({
                "format": image.format.to_string(),
                "size": image.size,
                "sha256": image.digests.sha256.to_hex(),
                "fsverity": image.digests.files().map(ToString::to_string).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "imageChecked": self.image_checked,
            "enforcement": checked.map(|_| "scan"),
            "checked": checked.map(|checked| json!({
                "objects": checked.objects,
                "bytes": checked.bytes,
            })),
        })
    }

    fn role_to_json(&self, signers: &Signers) -> Value {
        let signer = |key: treeseal::trust::KeyId| json!({ "key": key.to_string(), "name": self.root.key_name(&key) });
        json!({
            "role": signers.role().to_string(),
            "threshold": signers.threshold(),
            "keys": self.root.content().keys_of(signers.role()).count(),
            "signers": signers.key_ids().map(signer).collect::<Vec<_>>(),
        })
    }
}
