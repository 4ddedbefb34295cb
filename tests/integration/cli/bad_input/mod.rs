//! Invalid input and its messages, and unusual input that is valid. A run that fails publishes nothing.

mod files;
mod hostile;
mod output;
mod rows;
mod settings;
mod tokenizer;
