//! Builders, corruptors and vectors for the tests.
