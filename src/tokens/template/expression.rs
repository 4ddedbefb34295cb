//! Rewrites the expressions of a tag: operators that minijinja and jinja2 define differently become filters (see
//! [`super::operators`]), which also spend from the render's budget.
//!
//! `a + b + c` becomes `(a)|__add(b, c)`, `a ~ b` becomes `(a)|__concat(b)`, and likewise `%`, `<`, `<=`, `>`, `>=`, `in` and `not in`,
//! unless they are chained, and slices, `a[1:]`. The list of a `for` passes through a check. Tokens keep their order and their
//! lines; operators bind as in jinja2: tests and filters, `**`, products, `~`, sums, comparisons.

use super::operators as op;

/// Copies the tag at the start of `text`, rewritten, and returns its length; `None` if it does not end.
pub(super) fn push_tag(out: &mut String, text: &str, end: &'static str) -> Option<usize> {
    Tag::new(text, end).push(out)
}

/// What the token before the current one was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// An operator, a keyword or an opening bracket: an operand follows.
    Operator,
    /// The end of an operand.
    Operand,
    /// A dot or a bar: the name after it belongs to the operand before it.
    Joint,
    /// `is` or `is not`: the name of a test follows.
    Is,
}

/// A comparison whose right side is not complete yet.
struct Comparison {
    start: usize,
    operator: (usize, usize),
    filter: &'static str,
}

/// The expression within one pair of brackets, or outside of all.
#[derive(Default)]
struct Level {
    /// The start of the operand that was read last.
    operand: usize,
    /// The starts of the product, the concatenation and the sum that it belongs to.
    product: Option<usize>,
    concatenation: Option<usize>,
    sum: Option<usize>,
    /// The calls that are open: `__mod(`, `__concat(`, `__add(`.
    is_mod_open: bool,
    is_concat_open: bool,
    is_add_open: bool,
    comparison: Option<Comparison>,
    /// Whether there was a comparison that stays as it is, so that the next one belongs to its chain.
    is_chain: bool,
    /// For the brackets of an index: the start and the end of what is indexed.
    indexed: Option<(usize, usize)>,
    /// Whether they are those of a slice.
    is_slice: bool,
}

/// An insertion or replacement. At one position, closing brackets come before opening ones.
struct Edit {
    at: usize,
    is_opening: bool,
    replaced: usize,
    text: &'static str,
}

/// Rewrites one tag.
struct Tag<'t> {
    text: &'t str,
    /// What ends the tag.
    end: &'static str,
    /// The end of the token that was read last.
    at: usize,
    last: Last,
    levels: Vec<Level>,
    edits: Vec<Edit>,
    /// Whether the name of the statement is still to come.
    is_statement_next: bool,
    is_for: bool,
    /// The list of a `for`: whether its start is still to come, then the start.
    is_list_next: bool,
    list: Option<usize>,
    /// The start of a `not` that can be the first word of `not in`.
    not: Option<usize>,
}

impl<'t> Tag<'t> {
    /// `text` starts with the tag.
    fn new(text: &'t str, end: &'static str) -> Self {
        Self {
            text,
            end,
            at: if matches!(text.as_bytes().get(2), Some(b'-' | b'+')) { 3 } else { 2 },
            last: Last::Operator,
            levels: vec![Level::default()],
            edits: Vec::new(),
            is_statement_next: end == "%}",
            is_for: false,
            is_list_next: false,
            list: None,
            not: None,
        }
    }

    fn push(mut self, out: &mut String) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        loop {
            at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            bytes.get(at)?;
            if let Some(length) = self.end_at(at) {
                self.end_expression();
                self.end_list();
                self.write(out, length);
                return Some(length);
            }
            at = self.token(at)?;
            self.at = at;
        }
    }

    /// The tag's length if it ends at `at`. Within brackets, `}}` closes two of them.
    fn end_at(&self, at: usize) -> Option<usize> {
        let rest = &self.text[at..];
        let after = rest.strip_prefix(['-', '+']).filter(|after| after.starts_with(self.end)).unwrap_or(rest);
        let ends = self.levels.len() == 1 && after.starts_with(self.end);
        ends.then(|| self.text.len() - after.len() + self.end.len())
    }

    /// Reads the token at `at` and returns its end; `None` if it does not end.
    fn token(&mut self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii();
        let byte = bytes[at];
        if matches!(byte, b'"' | b'\'') {
            self.operand(at);
            let end = string_end(bytes, at)?;
            self.escapes(at, end);
            return Some(end);
        }
        if is_word(&byte) {
            let mut end = at + bytes[at..].iter().take_while(|b| is_word(b)).count();
            if byte.is_ascii_digit() && self.last != Last::Joint {
                end = number_end(bytes, at);
            }
            self.word(at, end);
            return Some(end);
        }
        match byte {
            b'(' | b'[' | b'{' => self.open(at, byte),
            b')' | b']' | b'}' => {
                self.end_expression();
                if self.level().is_slice && byte == b']' {
                    self.end_bound(at);
                    self.replace(at, 1, op::SLICE_END);
                }
                self.levels.pop();
                // A closing bracket without an opening one: the parser reports it.
                self.levels.last()?;
                self.last = Last::Operand;
            }
            b'.' | b'|' => self.last = Last::Joint,
            _ => return Some(self.operator(at)),
        }
        Some(at + 1)
    }

    /// Writes escapes that the engine does not know as codes.
    fn escapes(&mut self, mut at: usize, end: usize) {
        while let Some(found) = self.text[at..end].find('\\') {
            at += found;
            match self.text.as_bytes()[at + 1] {
                b'a' => self.replace(at, 2, "\\x07"),
                b'v' => self.replace(at, 2, "\\x0b"),
                _ => {}
            }
            at += 2;
            if !self.text.is_char_boundary(at) {
                return;
            }
        }
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// An operand, or one more token of it, starts at `at`.
    fn operand(&mut self, at: usize) {
        match self.last {
            Last::Operator => self.begin(at),
            Last::Operand => {}
            Last::Joint | Last::Is => {
                self.last = Last::Operand;
                return;
            }
        }
        self.level().operand = at;
        self.last = Last::Operand;
    }

    /// An operand or its sign starts at `at`.
    fn begin(&mut self, at: usize) {
        if std::mem::take(&mut self.is_list_next) {
            self.list = Some(at);
        }
        let level = self.level();
        level.product.get_or_insert(at);
        level.concatenation.get_or_insert(at);
        level.sum.get_or_insert(at);
    }

    fn word(&mut self, at: usize, end: usize) {
        let word = &self.text[at..end];
        let is_outside = self.levels.len() == 1;
        if std::mem::take(&mut self.is_statement_next) {
            self.is_for = word == "for";
            self.last = Last::Operator;
            return;
        }
        match (word, self.last) {
            (_, Last::Joint) => self.last = Last::Operand,
            ("not", Last::Is) => {}
            (_, Last::Is) => self.last = Last::Operand,
            ("is", _) => self.last = Last::Is,
            ("not", Last::Operand) => {
                self.end_sum();
                self.not = Some(at);
            }
            ("not", _) => self.last = Last::Operator,
            ("in", _) if self.is_for && is_outside && self.list.is_none() && !self.is_list_next => {
                self.end_expression();
                self.is_list_next = true;
                self.last = Last::Operator;
            }
            ("in", _) => {
                let (start, filter) = match self.not.take() {
                    Some(not) => (not, op::NOT_IN),
                    None => (at, op::IN),
                };
                self.compare(start, end, Some(filter));
            }
            ("and" | "or" | "if" | "else", _) => {
                self.end_expression();
                if word == "if" && is_outside {
                    self.end_list();
                }
                self.last = Last::Operator;
            }
            ("recursive", Last::Operand) if self.is_for && is_outside => {
                self.end_expression();
                self.end_list();
                self.last = Last::Operator;
            }
            _ => self.operand(at),
        }
    }

    fn open(&mut self, at: usize, byte: u8) {
        let mut level = Level::default();
        // A call or an index continues its operand; a brace starts a map.
        if self.last == Last::Operand && byte != b'{' {
            level.indexed = (byte == b'[').then_some((self.level().operand, at));
        } else {
            self.operand(at);
        }
        self.levels.push(level);
        self.last = Last::Operator;
    }

    /// Reads an operator or separator and returns its end.
    fn operator(&mut self, at: usize) -> usize {
        let rest = &self.text[at..];
        let is_binary = self.last == Last::Operand;
        let two = ["**", "//", "==", "!=", "<=", ">="].into_iter().find(|two| rest.starts_with(two));
        let end = at + two.map_or_else(|| rest.chars().next().map_or(1, char::len_utf8), str::len);
        match &self.text[at..end] {
            "**" => {}
            "*" | "/" | "//" if is_binary => self.end_mod(),
            "%" if is_binary => self.remainder(at),
            "~" if is_binary => self.concatenate(at),
            "+" if is_binary => self.add(at),
            "-" if is_binary => {
                self.end_sum();
                let level = self.level();
                (level.product, level.concatenation) = (None, None);
            }
            "+" | "-" => self.begin(at),
            "<" => self.compare(at, end, Some(op::LESS)),
            "<=" => self.compare(at, end, Some(op::AT_MOST)),
            ">" => self.compare(at, end, Some(op::MORE)),
            ">=" => self.compare(at, end, Some(op::AT_LEAST)),
            "==" | "!=" => self.compare(at, end, None),
            separator => {
                self.end_expression();
                if separator == ":" {
                    self.slice(at);
                }
            }
        }
        self.last = Last::Operator;
        end
    }

    /// A colon at `at`, perhaps that of a slice.
    fn slice(&mut self, at: usize) {
        if let Some((start, bracket)) = self.level().indexed.take() {
            self.level().is_slice = true;
            self.insert(start, true, "(");
            self.replace(bracket, 1, op::SLICE);
        }
        if self.level().is_slice {
            self.end_bound(at);
            self.replace(at, 1, op::SLICE_BOUND);
        }
    }

    /// A bound of a slice ends at `at`: one that is left out gets a value.
    fn end_bound(&mut self, at: usize) {
        if self.last == Last::Operator {
            self.insert(at, false, op::NO_BOUND);
        }
    }

    fn remainder(&mut self, at: usize) {
        self.end_mod();
        let Some(start) = self.level().product else { return };
        // What is divided by a number is a number, unless it is a literal pattern.
        let divisor = self.text[at + 1..].trim_start();
        if divisor.starts_with(|c: char| c.is_ascii_digit()) && !self.text[start..].starts_with(['"', '\'']) {
            return;
        }
        self.insert(start, true, "(");
        self.replace(at, 1, op::MOD);
        self.level().is_mod_open = true;
    }

    fn concatenate(&mut self, at: usize) {
        self.end_mod();
        let level = self.level();
        level.product = None;
        let Some(start) = level.concatenation else { return };
        if std::mem::replace(&mut level.is_concat_open, true) {
            self.replace(at, 1, ",");
        } else {
            self.insert(start, true, "(");
            self.replace(at, 1, op::CONCAT);
        }
    }

    fn add(&mut self, at: usize) {
        self.end_concat();
        let level = self.level();
        (level.product, level.concatenation) = (None, None);
        let Some(start) = level.sum else { return };
        if std::mem::replace(&mut level.is_add_open, true) {
            self.replace(at, 1, ",");
        } else {
            self.insert(start, true, "(");
            self.replace(at, 1, op::ADD);
        }
    }

    /// A comparison's operator, which becomes `filter` if it is the only one of its chain.
    fn compare(&mut self, at: usize, end: usize, filter: Option<&'static str>) {
        self.end_sum();
        let keeps_lines = !self.text[at..end].contains('\n');
        let level = self.level();
        let left = level.sum.take();
        (level.product, level.concatenation) = (None, None);
        let is_first = level.comparison.take().is_none() && !level.is_chain;
        level.comparison = match (left, filter) {
            (Some(start), Some(filter)) if is_first && keeps_lines => {
                Some(Comparison { start, operator: (at, end - at), filter })
            }
            _ => None,
        };
        level.is_chain |= level.comparison.is_none();
        self.last = Last::Operator;
    }

    fn end_mod(&mut self) {
        if std::mem::take(&mut self.level().is_mod_open) {
            self.insert(self.at, false, ")");
        }
    }

    fn end_concat(&mut self) {
        self.end_mod();
        if std::mem::take(&mut self.level().is_concat_open) {
            self.insert(self.at, false, ")");
        }
    }

    fn end_sum(&mut self) {
        self.end_concat();
        if std::mem::take(&mut self.level().is_add_open) {
            self.insert(self.at, false, ")");
        }
    }

    /// Ends all that the operand before the current token belongs to.
    fn end_expression(&mut self) {
        self.end_sum();
        let level = self.level();
        let right = level.sum.take();
        let comparison = level.comparison.take();
        (level.product, level.concatenation, level.is_chain) = (None, None, false);
        if let (Some(Comparison { start, operator, filter }), Some(_)) = (comparison, right) {
            self.insert(start, true, "(");
            self.replace(operator.0, operator.1, filter);
            self.insert(self.at, false, ")");
        }
        self.not = None;
    }

    /// Ends the list of a `for`.
    fn end_list(&mut self) {
        if let Some(start) = self.list.take() {
            self.insert(start, true, "(");
            self.insert(self.at, false, op::ITERATED);
            // Another `in` belongs to an expression.
            self.is_for = false;
        }
    }

    fn insert(&mut self, at: usize, is_opening: bool, text: &'static str) {
        self.edits.push(Edit { at, is_opening, replaced: 0, text });
    }

    fn replace(&mut self, at: usize, replaced: usize, text: &'static str) {
        self.edits.push(Edit { at, is_opening: true, replaced, text });
    }

    fn write(&mut self, out: &mut String, length: usize) {
        // A stable sort: what was closed first stays first.
        self.edits.sort_by_key(|edit| (edit.at, edit.is_opening));
        let mut from = 0;
        for edit in &self.edits {
            out.push_str(&self.text[from..edit.at]);
            out.push_str(edit.text);
            from = edit.at + edit.replaced;
        }
        out.push_str(&self.text[from..length]);
    }
}

/// The end of the number that starts at `at`.
fn number_end(bytes: &[u8], at: usize) -> usize {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let mut end = at + bytes[at..].iter().take_while(|b| is_word(b)).count();
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end += 1 + bytes[end + 1..].iter().take_while(|b| is_word(b)).count();
    }
    let has_exponent = bytes[end - 1].eq_ignore_ascii_case(&b'e') && !bytes[at..end].starts_with(b"0x");
    if has_exponent && matches!(bytes.get(end), Some(b'+' | b'-')) {
        end += 1 + bytes[end + 1..].iter().take_while(|b| is_word(b)).count();
    }
    end
}

/// The end of the string literal that starts at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    loop {
        match *bytes.get(end)? {
            b'\\' => end += 2,
            byte if byte == bytes[at] => return Some(end + 1),
            _ => end += 1,
        }
    }
}
