//! From text to a checked recipe.

use super::check;
use super::condition::{Condition, Conditions};
use super::model::{Budget, Filter, OWN_KEYS, Recipe, Split};
use super::nearest::nearest;
use super::reading::{Mistake, Reading, SYNTAX_HINT, key_message};
use super::settings::{RecipeSetting, RecipeValue};
use super::sources::{SourceRecipe, Sources};
use super::yaml::{Node, Yaml, syntax_error};

impl Recipe {
    /// Parses a recipe (YAML, so JSON as well) and checks its own keys. All other keys become [`Recipe::settings`], unchecked: the
    /// `settings` module checks those. Returns what is wrong, too: invalid YAML, or else all keys and values that are not accepted, or
    /// else all keys that contradict each other.
    pub(crate) fn read(text: &str) -> (Self, Vec<Mistake>) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = match Node::parse(text) {
            Ok(Some(root)) => root,
            Ok(None) => return (Self::default(), Vec::new()),
            Err(error) => {
                let (at, message) = syntax_error(&error);
                return (Self::default(), vec![Mistake { at, message, hint: SYNTAX_HINT.to_owned() }]);
            }
        };
        let mut reading = Reading::default();
        let recipe = reading.recipe(&root);
        let mut problems = check::values(&recipe, &root);
        // Without the values that are wrong, other keys may seem to lack something.
        if reading.mistakes.is_empty() && problems.is_empty() {
            problems = check::contradictions(&recipe);
        }
        let located = problems.into_iter().map(|problem| Mistake {
            at: root.position(&problem.path),
            message: problem.message,
            hint: problem.hint,
        });
        reading.mistakes.extend(located);
        (recipe, reading.mistakes)
    }

    /// Parses a recipe whose settings do not matter.
    ///
    /// # Errors
    /// The first mistake.
    #[cfg(test)]
    pub(crate) fn parse(text: &str, place: &str) -> crate::error::Result<Self> {
        let (recipe, mut mistakes) = Self::read(text);
        mistakes.sort_by_key(Mistake::at);
        mistakes.into_iter().next().map_or(Ok(recipe), |mistake| Err(mistake.error(place)))
    }

    /// The mistake of a key that is neither one of the recipe's own nor one of the given settings.
    pub(crate) fn unknown_key(setting: &RecipeSetting, settings: &[&str]) -> Mistake {
        let keys = [settings, &OWN_KEYS].concat();
        let message = format!("{}: expected one of {}", key_message("unknown", &setting.key), keys.join(", "));
        let hint = match nearest(&setting.key, keys.into_iter()) {
            Some(key) => format!("did you mean `{key}`?"),
            None => SYNTAX_HINT.to_owned(),
        };
        Mistake { at: Some(setting.at), message, hint }
    }
}

impl Reading {
    fn recipe(&mut self, root: &Node) -> Recipe {
        let mut recipe = Recipe::default();
        for (key, at, node) in self.keys(root) {
            match key {
                "sources" => recipe.sources = self.sources(node),
                "filter" => recipe.filter = self.filter(node),
                "budget" => recipe.budget = (!node.is_null()).then(|| self.budget(node)),
                "measure" => recipe.measure = self.word(node),
                "on_shortfall" => recipe.on_shortfall = self.word(node).unwrap_or_default(),
                "split" => recipe.split = self.split(node),
                _ => recipe.settings.push(RecipeSetting { key: key.to_owned(), at, value: RecipeValue::of(node) }),
            }
        }
        recipe
    }

    fn sources(&mut self, node: &Node) -> Sources {
        let keys = self.keys(node);
        Sources(keys.into_iter().map(|(name, _, node)| (name.to_owned(), self.source(node))).collect())
    }

    fn source(&mut self, node: &Node) -> SourceRecipe {
        let mut source = SourceRecipe::default();
        self.section::<SourceRecipe>(node, |reading, key, node| {
            match key {
                "enabled" => source.enabled = reading.value(node),
                "kind" => source.kind = reading.word(node),
                "paths" => source.paths = reading.paths(node),
                "folder" => source.folder = reading.text(node),
                "where" => source.conditions = reading.conditions(node),
                "column" => source.column = reading.text(node),
                "by_cut" => source.by_cut = reading.value(node),
                "repeat" => source.repeat = reading.value(node),
                "unit" => source.unit = reading.word(node),
                "share" => source.share = reading.value(node),
                "max_repeat" => source.max_repeat = reading.value(node),
                "weight" => source.weight = reading.value(node),
                "qa_per_doc" => source.qa_per_doc = reading.value(node),
                "with_document" => source.with_document = reading.value(node),
                "unmask" => source.unmask = reading.value(node),
                _ => return false,
            }
            true
        });
        source
    }

    /// One condition, or a list of them.
    fn conditions(&mut self, node: &Node) -> Option<Conditions> {
        let Yaml::List(items) = &node.value else {
            return self.condition(node).map(|condition| Conditions(vec![condition]));
        };
        let conditions: Vec<_> = items.iter().map(|item| self.condition_of_list(item)).collect();
        conditions.into_iter().collect::<Option<_>>().map(Conditions)
    }

    /// A condition of a list, where a missing one is a mistake.
    fn condition_of_list(&mut self, node: &Node) -> Option<Condition> {
        if node.is_null() {
            self.mistake(node.at, "expected a condition (`{column: a, equals: b}`)", None);
        }
        self.condition(node)
    }

    fn condition(&mut self, node: &Node) -> Option<Condition> {
        let before = self.mistakes.len();
        let (mut column, mut equals, mut one_of, mut at_least, mut at_most) = (None, None, None, None, None);
        self.section::<Condition>(node, |reading, key, node| {
            match key {
                "column" => column = reading.text(node),
                "equals" => equals = reading.value(node),
                "in" => one_of = reading.values(node),
                "at_least" => at_least = reading.value(node),
                "at_most" => at_most = reading.value(node),
                _ => return false,
            }
            true
        });
        if column.is_none() && !node.is_null() && self.mistakes.len() == before {
            self.mistake(node.at, "missing key `column`", None);
        }
        column.map(|column| Condition { column, equals, one_of, at_least, at_most })
    }

    fn filter(&mut self, node: &Node) -> Filter {
        let mut filter = Filter::default();
        self.section::<Filter>(node, |reading, key, node| {
            match key {
                "max_tokens" => filter.max_tokens = reading.value(node),
                "long_samples" => filter.long_samples = reading.word(node).unwrap_or_default(),
                "min_response_chars" => filter.min_response_chars = reading.value(node),
                "drop_flagged" => filter.drop_flagged = reading.words(node).into_iter().collect(),
                "duplicates" => filter.duplicates = reading.word(node).unwrap_or_default(),
                _ => return false,
            }
            true
        });
        filter
    }

    fn budget(&mut self, node: &Node) -> Budget {
        let mut budget = Budget::default();
        self.section::<Budget>(node, |reading, key, node| {
            match key {
                "tokens" => budget.tokens = reading.value(node),
                "samples" => budget.samples = reading.value(node),
                "loss_tokens" => budget.loss_tokens = reading.value(node),
                _ => return false,
            }
            true
        });
        budget
    }

    fn split(&mut self, node: &Node) -> Option<Split> {
        let before = self.mistakes.len();
        let mut validation = None;
        self.section::<Split>(node, |reading, key, node| {
            let is_known = key == "validation";
            if is_known {
                validation = reading.value(node);
            }
            is_known
        });
        if validation.is_none() && !node.is_null() && self.mistakes.len() == before {
            self.mistake(node.at, "missing key `validation`", None);
        }
        validation.map(|validation| Split { validation })
    }
}
