use super::super::keyfile;

/// How a deployment is booted by `ostree-prepare-root`: the parts of `prepare-root.conf` that decide what
/// is verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrepareRoot {
    /// `composefs.enabled`; without it no image is mounted.
    pub composefs: Option<Composefs>,
    /// `composefs.keypath`: where the initramfs has the public keys.
    pub key_path: Option<String>,
}

/// Whether the image of a deployment is mounted, and what is verified of it; the most comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Composefs {
    /// The deployment's directory is the root.
    No,
    /// The image is mounted if it is there.
    Maybe,
    /// The image is mounted.
    Yes,
    /// Image and objects must have fs-verity; which image it is, nobody is asked.
    Verity,
    /// As `Verity`, and the commit must be signed.
    Signed,
}

impl PrepareRoot {
    /// Longest file, in bytes.
    pub(super) const MAX_SIZE: usize = 64 * 1024;

    /// Adds what the bytes of a further file say, which counts for more. The error says what cannot be
    /// understood.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        let text = str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
        let value = |key| keyfile::value(text, "composefs", key);
        if let Some(value) = value("enabled") {
            let parsed = Composefs::parse(value);
            self.composefs = Some(
                parsed.ok_or_else(|| format!("composefs.enabled is `{}`", value.escape_debug()))?,
            );
        }
        if let Some(path) = value("keypath") {
            self.key_path = Some(path.to_owned());
        }
        Ok(())
    }
}

impl Composefs {
    /// Reads the value of `composefs.enabled`, or of `ostree.prepare-root.composefs=` on the kernel's
    /// command line.
    pub fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "no" | "false" | "0" => Self::No,
            "maybe" => Self::Maybe,
            "yes" | "true" | "1" => Self::Yes,
            "verity" => Self::Verity,
            "signed" => Self::Signed,
            _ => return None,
        })
    }

    /// The value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Maybe => "maybe",
            Self::Yes => "yes",
            Self::Verity => "verity",
            Self::Signed => "signed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_file_counts_for_more() {
        let mut found = PrepareRoot::default();
        found
            .add(b"[composefs]\nenabled = signed\nkeypath=/etc/a.key\n[root]\nenabled=no\n")
            .unwrap();
        assert_eq!(found.composefs, Some(Composefs::Signed));
        found.add(b"[composefs]\nenabled=maybe\n").unwrap();
        assert_eq!(found.composefs, Some(Composefs::Maybe));
        assert_eq!(found.key_path.as_deref(), Some("/etc/a.key"));
        let error = found.add(b"[composefs]\nenabled=perhaps\n").unwrap_err();
        assert_eq!(error, "composefs.enabled is `perhaps`");
        assert_eq!(found.add(b"\xff").unwrap_err(), "it is no text");
    }
}
