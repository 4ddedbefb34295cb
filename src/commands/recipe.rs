//! `recipe`: the schema, a check, an example.

use super::print::print;
use super::session::Session;
use crate::cli::RecipeCommand;
use crate::error::Result;
use crate::recipe::Recipe;
use crate::settings;

pub(super) async fn run(command: &RecipeCommand, session: &Session<'_>) -> Result<()> {
    match command {
        RecipeCommand::Schema => print(&settings::recipe_schema()),
        RecipeCommand::Example => print(Recipe::example()),
        RecipeCommand::Check { recipe } => {
            let (text, place) = session.read_recipe(recipe).await?;
            let mut mistakes = settings::recipe_mistakes(&text, &place);
            let Some(last) = mistakes.pop() else {
                return print(&format!("{place}: the recipe is valid\n"));
            };
            mistakes.iter().for_each(|mistake| session.progress.error(mistake));
            Err(last)
        }
    }
}
