//! Reads untrusted images within a budget.
