//! Objects, sidecars, images and seals in a directory.
