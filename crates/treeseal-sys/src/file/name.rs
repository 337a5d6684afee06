use super::FileError;

/// Checks that `name` is a single component, so that a lookup stays in its directory.
pub(super) fn component(name: &[u8]) -> Result<&[u8], FileError> {
    let fits = !matches!(name, b"" | b"." | b"..");
    if fits && !name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        Ok(name)
    } else {
        Err(FileError::Name { name: name.to_vec() })
    }
}
