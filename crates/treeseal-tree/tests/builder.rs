//! What a tree is made of piece by piece.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use treeseal_tree::{Content, Metadata, Mtime, Node, NodeContent, Payload, Tree, TreeBuilder};
use treeseal_tree::{TreeError, XattrSetId};
use treeseal_verity::{FileDigest, HashAlgorithm};

fn node(content: NodeContent<'_>) -> Node<'_> {
    let mtime = Mtime { seconds: 0, nanoseconds: 0 };
    let metadata = Metadata { permissions: 0o644, nlink: 1, uid: 0, gid: 0, mtime };
    Node { metadata, content, xattrs: XattrSetId::default(), stated_size: 0 }
}

/// A tree with one file.
fn tree_of(content: NodeContent<'_>) -> Result<Tree, TreeError> {
    let mut builder = TreeBuilder::new();
    builder.reserve(2, 1);
    let root = builder.set_root(&node(NodeContent::Directory))?;
    builder.add(root, b"file", &node(content))?;
    builder.finish()
}

#[test]
fn an_object_is_external_content_at_the_path_of_its_digest() {
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let bytes = vec![7; algorithm.digest_size()];
        let digest = FileDigest::from_bytes(algorithm, &bytes).unwrap();
        let path = digest.object_path();
        for size in [0, 1, 4096] {
            let payload = Some(path.as_bytes());
            let external = NodeContent::External { size, digest: Some(digest), payload };
            let (object, external) = (
                tree_of(NodeContent::Object { size, digest }).unwrap(),
                tree_of(external).unwrap(),
            );
            let inode = |tree: &Tree| {
                let id = tree.lookup(b"file").unwrap();
                let inode = tree.inode(id);
                (inode.file_type(), inode.size(), format!("{:?}", inode.content()))
            };
            assert_eq!(inode(&object), inode(&external));
            assert_eq!(object.digest_count(), external.digest_count());
            if size > 0 {
                let id = object.lookup(b"file").unwrap();
                let Content::External { digest: Some(found), payload } = object.inode(id).content()
                else {
                    panic!("it is an object");
                };
                assert_eq!((object.digest(found), payload), (digest, Payload::Object(found)));
            }
        }
    }
}

#[test]
fn an_object_that_is_too_large_is_refused() {
    let digest = FileDigest::from_bytes(HashAlgorithm::Sha256, &[7; 32]).unwrap();
    let size = (1 << 53) + 1;
    let error = tree_of(NodeContent::Object { size, digest }).unwrap_err();
    assert!(matches!(error, TreeError::FileSize { found } if found == size), "{error}");
}
