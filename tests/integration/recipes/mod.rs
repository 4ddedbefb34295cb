//! Recipes through the whole program: what is asserted here is read back from the files that it wrote.

mod bytes;
mod check;
mod diff;
mod examples;
mod given;
mod plan;
mod program;
mod sources;
