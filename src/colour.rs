//! When lines for people have colours, and which.

use std::ffi::OsString;
use std::io::IsTerminal;

/// The colour of a part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Why the program ends: red.
    Error,
    /// What needs attention: yellow.
    Warning,
    /// What the eye should find: bold.
    Strong,
}

impl Colour {
    /// The text in this colour.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Error => "1;31",
            Self::Warning => "1;33",
            Self::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Whether what is written to a stream has colours.
pub(crate) fn has_colours(stream: &impl IsTerminal) -> bool {
    decide(|name| std::env::var_os(name), stream.is_terminal())
}

/// The rules of <https://no-color.org> and <https://bixense.com/clicolors>, as clap applies them.
fn decide(variable: impl Fn(&str) -> Option<OsString>, is_terminal: bool) -> bool {
    let value = |name| variable(name).filter(|value| !value.is_empty());
    if value("NO_COLOR").is_some() {
        return false;
    }
    if value("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    let is_wanted = value("CLICOLOR").is_none_or(|value| value != "0");
    is_terminal && is_wanted && value("TERM").is_some_and(|value| value != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of variables and stream.
    #[test]
    fn colours_follow_the_variables_and_the_stream() {
        let values = [None, Some(""), Some("0"), Some("1")];
        let mut with_colours = 0;
        for (no_color, force) in values.iter().flat_map(|a| values.iter().map(move |b| (*a, *b))) {
            for (clicolor, is_terminal) in values.iter().flat_map(|c| [(*c, true), (*c, false)]) {
                for term in [None, Some("dumb"), Some("xterm")] {
                    let variable = |name: &str| {
                        let value = match name {
                            "NO_COLOR" => no_color,
                            "CLICOLOR_FORCE" => force,
                            "CLICOLOR" => clicolor,
                            "TERM" => term,
                            _ => panic!("{name} does not matter"),
                        };
                        value.map(OsString::from)
                    };
                    let expected = match (no_color, force, clicolor, term, is_terminal) {
                        (Some("0" | "1"), ..) => false,
                        (_, Some("1"), ..) => true,
                        (_, _, Some("0"), ..) | (_, _, _, None | Some("dumb"), _) => false,
                        (.., is_terminal) => is_terminal,
                    };
                    let case = (no_color, force, clicolor, term, is_terminal);
                    assert_eq!(decide(variable, is_terminal), expected, "{case:?}");
                    with_colours += u32::from(expected);
                }
            }
        }
        // Forced: 2 * 1 * 4 * 2 * 3; on a terminal: 2 * 3 * 3 * 1 * 1.
        assert_eq!(with_colours, 48 + 18);
    }

    #[test]
    fn a_painted_text_resets_its_colour() {
        assert_eq!(Colour::Error.paint("error:"), "\x1b[1;31merror:\x1b[0m");
    }
}
