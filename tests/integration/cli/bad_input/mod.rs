//! Everything that the program must refuse, or take although it looks odd: what it says, and that nothing is published.

mod files;
mod output;
mod rows;
mod settings;
mod tokenizer;
