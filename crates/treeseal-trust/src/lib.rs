//! Statements, envelopes, keys and the trust root.
