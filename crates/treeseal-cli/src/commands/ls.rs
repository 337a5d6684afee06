use serde_json::{Value, json};
use treeseal::SealedTree;
use treeseal::tree::dump::{escape_field, escape_listed};
use treeseal::tree::{Content, Inode, Tree};

use super::{stream, tree_path};
use crate::args::Ls;
use crate::environment;
use crate::output::{Failure, Outcome, Output, json_path};

pub(super) fn run(arguments: &Ls, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let sealed = SealedTree::open(&locations, &stream(&arguments.stream)?)?;
    let tree = sealed.tree();
    let mut written = Ok(());
    sealed.each_file(&tree_path(&arguments.path), &mut |path, id| {
        if written.is_ok() {
            let inode = tree.inode(id);
            written = if output.is_json() {
                output.json(&as_json(tree, path, &inode))
            } else {
                output.line(text(tree, path, &inode))
            };
        }
    })?;
    written?;
    Ok(Outcome::Yes)
}

/// A line as `treeseal image ls` has it.
fn text(tree: &Tree, path: &[u8], inode: &Inode<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    escape_listed(&mut line, path);
    match inode.content() {
        Content::Directory if path == b"/" => {}
        Content::Directory => line.extend_from_slice(b"/\t"),
        Content::Symlink(target) => {
            line.extend_from_slice(b"\t-> ");
            escape_field(&mut line, target);
        }
        Content::External { payload, .. } => {
            if let Some(object) = tree.payload_path(payload) {
                line.extend_from_slice(b"\t@ ");
                escape_field(&mut line, &object);
            }
        }
        _ => {}
    }
    line
}

fn as_json(tree: &Tree, path: &[u8], inode: &Inode<'_>) -> Value {
    let metadata = inode.metadata();
    let mut value = json!({
        "path": json_path(path),
        "type": inode.file_type().to_string(),
        "mode": format!("{:04o}", metadata.permissions),
        "uid": metadata.uid,
        "gid": metadata.gid,
        "mtime": format!("{}.{:09}", metadata.mtime.seconds, metadata.mtime.nanoseconds),
    });
    match inode.content() {
        Content::Symlink(target) => value["target"] = json_path(target),
        Content::External { digest, .. } => {
            value["size"] = inode.size().into();
            value["digest"] = digest.map(|digest| tree.digest(digest).to_hex()).into();
        }
        Content::Inline(_) | Content::Empty => value["size"] = inode.size().into(),
        _ => {}
    }
    value
}
