//! The `treeseal` command.
fn main() {}
