//! What can be suspicious about a sample.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// A sign that a question or an answer is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Flag {
    /// A place that the generator should have filled, such as `<question>` or `[insert name]`.
    Placeholder,
    /// `...` in the question, or at the end of the answer.
    Ellipsis,
    /// A control token of a chat template, such as `<|eot_id|>`, in the question, the answer or the context.
    TemplateToken,
    /// A question without a question mark that does not begin as a question or an instruction does.
    NoQuestion,
    /// An answer that begins by declining to answer.
    Refusal,
}

impl Flag {
    /// All flags.
    pub(crate) const ALL: [Self; 5] =
        [Self::Placeholder, Self::Ellipsis, Self::TemplateToken, Self::NoQuestion, Self::Refusal];

    /// The flag's name in recipes and metrics; also the reason for which the filter drops a row.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Placeholder => "placeholder",
            Self::Ellipsis => "ellipsis",
            Self::TemplateToken => "template_token",
            Self::NoQuestion => "no_question",
            Self::Refusal => "refusal",
        }
    }

    /// The flag in words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Placeholder => "placeholder left in question or answer",
            Self::Ellipsis => "ellipsis in question or at the end of the answer",
            Self::TemplateToken => "control token of a chat template inside a text",
            Self::NoQuestion => "question that asks nothing",
            Self::Refusal => "answer that declines to answer",
        }
    }
}

/// A set of flags; in a recipe, a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flags(u8);

impl Flags {
    /// Whether there is no flag.
    pub(crate) fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether `flag` is among them.
    pub(crate) fn contains(self, flag: Flag) -> bool {
        self.0 & Self::bit(flag) != 0
    }

    /// Every flag, in the order of [`Flag::ALL`].
    pub(crate) fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.contains(*flag))
    }

    /// These flags and, if `is_set`, `flag`.
    #[must_use]
    pub(crate) fn with(self, flag: Flag, is_set: bool) -> Self {
        if is_set { Self(self.0 | Self::bit(flag)) } else { self }
    }

    /// These flags without `flag`.
    #[must_use]
    pub(crate) fn without(self, flag: Flag) -> Self {
        Self(self.0 & !Self::bit(flag))
    }

    /// The flags that are in both sets.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The flags that are in either set.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn bit(flag: Flag) -> u8 {
        1 << flag as u8
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        flags.into_iter().fold(Self::default(), |all, flag| all.with(flag, true))
    }
}

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_list_in_the_order_of_all_flags() {
        let flags: Flags = [Flag::Refusal, Flag::Placeholder, Flag::Refusal].into_iter().collect();
        assert_eq!(flags.iter().collect::<Vec<_>>(), [Flag::Placeholder, Flag::Refusal]);
        assert_eq!(serde_json::to_string(&flags).unwrap(), r#"["placeholder","refusal"]"#);
    }

    #[test]
    fn names_are_those_of_recipes() {
        for flag in Flag::ALL {
            assert_eq!(serde_json::to_value(flag).unwrap(), flag.name());
            assert!(Flags::default().with(flag, true).contains(flag));
        }
    }
}
