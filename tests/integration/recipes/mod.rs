//! Recipes from end to end: the assertions count the rows of the written files.

mod bytes;
mod check;
mod diff;
mod documents;
mod examples;
mod forms;
mod plan;
mod program;
mod sources;
mod training;
