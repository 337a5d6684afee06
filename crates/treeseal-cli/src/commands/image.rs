use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use treeseal::Progress;
use treeseal::image::{self, ImageText};
use treeseal::tree::Tree;
use treeseal::tree::dump::Strictness;

use super::import;
use crate::args::{Image, ImageBuild, ImageInfo, ImageRead, SourceKind};
use crate::output::{Failure, Outcome, Output, json_path};

pub(super) fn run(arguments: &Image, output: &mut Output) -> Result<Outcome, Failure> {
    match arguments {
        Image::Build(arguments) => build(arguments, output),
        Image::Dump(arguments) => text(arguments, ImageText::Dump, output),
        Image::Ls(arguments) => text(arguments, ImageText::List, output),
        Image::Objects(arguments) => text(arguments, ImageText::Objects, output),
        Image::Info(arguments) => info(arguments, output),
        Image::Check(arguments) => check(arguments, output),
    }
}

fn build(arguments: &ImageBuild, output: &mut Output) -> Result<Outcome, Failure> {
    let version = import::version(arguments.format_version);
    let to_stdout = arguments.image == Path::new("-");
    let digest = output.watch("image build", |output, progress| -> Result<_, Failure> {
        let tree = source_tree(arguments, progress)?;
        Ok(if to_stdout {
            image::write_image(&tree, version, &mut output.as_write(), progress)?
        } else {
            image::write_image_file(&tree, version, &arguments.image, progress)?
        })
    })?;
    if to_stdout {
        return Ok(Outcome::Yes);
    }
    if output.is_json() {
        output.json(&json!({ "image": arguments.image, "digest": digest.to_hex() }))?;
    } else {
        output.line(digest.to_hex())?;
    }
    Ok(Outcome::Yes)
}

fn source_tree(arguments: &ImageBuild, progress: &Progress) -> Result<Tree, Failure> {
    let options = import::options(&arguments.import)?;
    Ok(match (arguments.from, &arguments.digest_store) {
        (SourceKind::Dump, None) => {
            let strictness =
                if arguments.strict { Strictness::Strict } else { Strictness::Lenient };
            image::tree_of_dump(&arguments.source, strictness)?
        }
        (SourceKind::Dump, Some(_)) => {
            return Err(Failure::usage(
                "a dump has no content that --digest-store could store",
                "give a directory, or leave --digest-store out",
            ));
        }
        (SourceKind::Dir, None) => image::tree_of_directory(&arguments.source, &options, progress)?,
        (SourceKind::Dir, Some(store)) => {
            image::import_directory_into(&arguments.source, &options, store, progress)?
        }
    })
}

fn text(arguments: &ImageRead, kind: ImageText, output: &mut Output) -> Result<Outcome, Failure> {
    let filter = filter(arguments)?;
    if !output.is_json() {
        image::write_text(&arguments.image, kind, &filter, &mut output.as_write())?;
        return Ok(Outcome::Yes);
    }
    let mut lines = JsonLines { output: output.as_write(), line: Vec::new() };
    image::write_text(&arguments.image, kind, &filter, &mut lines)?;
    Ok(Outcome::Yes)
}

/// Makes JSON of each line of a text. The text has one line a file, with every other newline escaped.
struct JsonLines<W> {
    output: W,
    /// A line whose end has not come.
    line: Vec<u8>,
}

impl<W: Write> Write for JsonLines<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            let Some(line) = self.line.strip_suffix(b"\n") else { continue };
            if !line.is_empty() {
                writeln!(self.output, "{}", json!({ "line": json_path(line) }))?;
            }
            self.line.clear();
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn filter(arguments: &ImageRead) -> Result<Vec<&[u8]>, Failure> {
    let names: Vec<&[u8]> = arguments.filter.iter().map(|name| name.as_bytes()).collect();
    if names.iter().any(|name| name.contains(&b'/')) {
        return Err(Failure::usage(
            "--filter takes a name in the root directory, without a slash",
            "filter the text for paths further down",
        ));
    }
    Ok(names)
}

fn info(arguments: &ImageInfo, output: &mut Output) -> Result<Outcome, Failure> {
    let info = image::info(&arguments.image)?;
    let rows: Vec<(&str, u64)> = vec![
        ("format version", info.format_version),
        ("image bytes", info.image_size),
        ("inodes", info.inodes),
        ("directories", info.directories),
        ("regular files", info.regular_files),
        ("symlinks", info.symlinks),
        ("other files", info.other_files),
        ("hard links", info.hard_links),
        ("objects", info.objects),
        ("object bytes", info.object_bytes),
    ];
    if output.is_json() {
        let value: serde_json::Map<String, serde_json::Value> =
            rows.iter().map(|(name, value)| (name.replace(' ', "_"), (*value).into())).collect();
        output.json(&value.into())?;
        return Ok(Outcome::Yes);
    }
    for (name, value) in rows {
        output.line(format!("{name:<16} {value}"))?;
    }
    output.line(format!("{:<16} {}", "file digest", info.digest))?;
    Ok(Outcome::Yes)
}

fn check(arguments: &ImageInfo, output: &mut Output) -> Result<Outcome, Failure> {
    let canonical = image::check(&arguments.image)?;
    let path: &PathBuf = &arguments.image;
    if output.is_json() {
        output.json(&json!({ "image": path, "wellFormed": true, "canonical": canonical }))?;
    } else if canonical {
        output.line(format!(
            "{}: well-formed, and what treeseal writes for its tree",
            path.display()
        ))?;
    } else {
        output.line(format!(
            "{}: well-formed, but not what treeseal writes for its tree",
            path.display()
        ))?;
    }
    Ok(if canonical { Outcome::Yes } else { Outcome::No })
}
