//! Where trees come from: directories and dumps.
