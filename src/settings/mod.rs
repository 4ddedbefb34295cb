//! The settings: what is given by flags, recipe and variables, resolved and checked once. The rest of the program sees
//! only [`Settings`] and [`RunSettings`].

#[cfg(test)]
mod document;
mod given;
mod recipe_keys;
mod resolve;
mod resolved;
mod setting;
mod table;
mod tokenizer;
mod values;
mod variables;

pub(crate) use given::{Environment, SettingValues, process_environment};
pub(crate) use recipe_keys::{parse_recipe, recipe_mistakes, recipe_schema};
pub(crate) use resolved::{Settings, recipe_argument, tokenizer_argument};
pub(crate) use setting::{KfpType, Setting};
pub(crate) use table::{RunSettings, all};
pub(crate) use tokenizer::tokenizer_model;
pub(crate) use values::{FailOn, Kind, Limit};
pub(crate) use variables::{of_environment, unknown_variables};

#[cfg(test)]
mod tests;
