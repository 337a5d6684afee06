use std::os::fd::AsFd as _;

use treeseal_source::{ContentSink, FileContent};
use treeseal_verity::FileDigest;

use crate::sink::WHOLE;
use crate::{ObjectSink, StoreError};

impl ContentSink for ObjectSink<'_> {
    type Error = StoreError;

    fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, StoreError> {
        let size = content.size();
        if size < WHOLE as u64 {
            return self.put_reader(content, Some(size));
        }
        // The descriptor is duplicated because the content is read through it at the same time.
        match content.as_fd().try_clone_to_owned() {
            Ok(file) => self.put_file(content, size, file.as_fd()),
            Err(_) => self.put_reader(content, Some(size)),
        }
    }
}
