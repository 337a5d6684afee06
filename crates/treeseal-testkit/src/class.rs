use treeseal_tree::TreeError;
use treeseal_tree::dump::{DumpError, DumpErrorKind};

/// The class of a refusal as the vectors name it; `vectors/README.md` lists them.
///
/// Panics when there is none for the error: a new kind of error wants a class and a vector.
pub fn refusal_class(error: &DumpError) -> &'static str {
    match &error.kind {
        DumpErrorKind::EmptyDump => "empty-dump",
        DumpErrorKind::EmptyLine => "empty-line",
        DumpErrorKind::LongLine => "long-line",
        DumpErrorKind::NulByte => "nul-byte",
        DumpErrorKind::NoNewline => "no-newline",
        DumpErrorKind::Escape { .. } => "escape",
        DumpErrorKind::EscapedNul { .. } => "escaped-nul",
        DumpErrorKind::Number { .. } => "number",
        DumpErrorKind::Mtime { .. } => "mtime",
        DumpErrorKind::FileType { .. } => "file-type",
        DumpErrorKind::RootPath => "root-path",
        DumpErrorKind::NoParent => "no-parent",
        DumpErrorKind::Digest(_) => "digest",
        DumpErrorKind::NoTarget => "no-target",
        DumpErrorKind::Link => "link",
        DumpErrorKind::ContentSize { .. } => "content-size",
        DumpErrorKind::Xattr => "xattr",
        DumpErrorKind::XattrText { .. } => "xattr-text",
        DumpErrorKind::Rdev { .. } => "rdev",
        DumpErrorKind::SymlinkContent => "symlink-content",
        DumpErrorKind::Tree(error) => tree_class(error),
        other => panic!("no class for {other:?}"),
    }
}

fn tree_class(error: &TreeError) -> &'static str {
    match error {
        TreeError::Name(_) => "name",
        TreeError::Xattr(_) => "xattr-limit",
        TreeError::Root { .. } => "root",
        TreeError::Nanoseconds { .. } => "nanoseconds",
        TreeError::FileSize { .. } => "file-size",
        TreeError::InlineContent { .. } => "inline-content",
        TreeError::Payload { .. } => "payload",
        TreeError::Duplicate { .. } => "duplicate",
        TreeError::LinkTarget { .. } => "link-target",
        TreeError::LinkLoop { .. } => "link-loop",
        TreeError::LinkToDirectory { .. } => "link-to-directory",
        other => panic!("no class for {other:?}"),
    }
}
