//! The operating system: directories by descriptor, attributes, durable writes.
