//! The checked model of a file tree, and the composefs dump text.
