//! Recipes through the whole program: what is asserted here is read back from the files that it wrote.

#[path = "support/mod.rs"]
mod support;

#[path = "recipes/program.rs"]
mod program;

#[path = "recipes/bytes.rs"]
mod bytes;
#[path = "recipes/check.rs"]
mod check;
#[path = "recipes/diff.rs"]
mod diff;
#[path = "recipes/examples.rs"]
mod examples;
#[path = "recipes/given.rs"]
mod given;
#[path = "recipes/plan.rs"]
mod plan;
#[path = "recipes/sources.rs"]
mod sources;
