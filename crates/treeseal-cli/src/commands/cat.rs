use treeseal::SealedTree;

use super::{stream, tree_path};
use crate::args::Cat;
use crate::environment;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Cat, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let sealed = SealedTree::open(&locations, &stream(&arguments.stream)?)?;
    for path in &arguments.paths {
        sealed.copy_file(&tree_path(path), &mut output.as_write())?;
    }
    Ok(Outcome::Yes)
}
