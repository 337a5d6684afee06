//! Operations on sealed trees: seal, verify, read, extract, compare.
