//! Parts of documents that a task writes, between two lines that stay.

use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;

/// What to do with a part that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Compare,
    Write,
}

/// A part of a document.
pub(crate) struct Section {
    /// The document, from the top of the workspace.
    pub(crate) document: &'static str,
    pub(crate) begin: &'static str,
    pub(crate) end: &'static str,
}

impl Section {
    /// What the document has there.
    pub(crate) fn text(&self, workspace: &Workspace) -> Result<String> {
        let whole = self.read(workspace)?;
        self.parts(&whole).map(|(_, text, _)| text.to_owned())
    }

    /// Whether the document has this text there; with [`Document::Write`], it has it afterwards.
    pub(crate) fn is(&self, text: &str, workspace: &Workspace, document: Document) -> Result<bool> {
        let whole = self.read(workspace)?;
        let current = self.replaced(&whole, text)?;
        if current == whole {
            return Ok(true);
        }
        if document == Document::Write {
            let path = workspace.root.join(self.document);
            fs::write(&path, current).with_context(|| format!("writing {}", self.document))?;
        }
        Ok(document == Document::Write)
    }

    fn read(&self, workspace: &Workspace) -> Result<String> {
        let path = workspace.root.join(self.document);
        fs::read_to_string(&path).with_context(|| format!("reading {}", self.document))
    }

    fn replaced(&self, whole: &str, text: &str) -> Result<String> {
        let (before, _, after) = self.parts(whole)?;
        Ok(format!("{before}{}{text}{}{after}", self.begin, self.end))
    }

    fn parts<'t>(&self, whole: &'t str) -> Result<(&'t str, &'t str, &'t str)> {
        let parts = whole.split_once(self.begin).and_then(|(before, rest)| {
            let (text, after) = rest.split_once(self.end)?;
            Some((before, text, after))
        });
        parts.with_context(|| {
            format!("{} has not the two lines that a table stands between", self.document)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: Section =
        Section { document: "a.md", begin: "<!-- begin -->\n", end: "<!-- end -->\n" };

    #[test]
    fn only_what_is_between_the_lines_is_replaced() {
        let whole = "before\n<!-- begin -->\nold\n<!-- end -->\nafter\n";
        let expected = "before\n<!-- begin -->\nnew\n<!-- end -->\nafter\n";
        assert_eq!(SECTION.replaced(whole, "new\n").unwrap(), expected);
        assert_eq!(SECTION.parts(whole).unwrap().1, "old\n");
    }

    #[test]
    fn a_document_without_the_lines_is_an_error() {
        for whole in ["", "<!-- begin -->\n", "<!-- end -->\n<!-- begin -->\n"] {
            let error = SECTION.replaced(whole, "new\n").unwrap_err();
            assert_eq!(error.to_string(), "a.md has not the two lines that a table stands between");
        }
    }
}
