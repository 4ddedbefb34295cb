//! The hot paths, for `benches/hot_paths.rs`.

use crate::error::Result;
use crate::input::RowParser;
use crate::recipe::{Columns, ReasoningKey, Recipe, Source, TokenizerRules};
use crate::sample::{Conversation, ParseOptions, Reasoning, RowJson, Sample, TemplateProbe, row_layout};
use crate::storage::{Environment, Storage, StorageOptions};
use crate::text::{Interner, TextStore};
use crate::tokens::{self, ChatTemplate, LoadedTokenizer, TextSource, TokenizerModel};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Distinct texts.
#[derive(Default)]
pub struct Texts(Interner);

impl Texts {
    /// Stores texts.
    ///
    /// # Errors
    /// If there are too many.
    pub fn intern(&self, texts: &[String]) -> Result<()> {
        texts.iter().try_for_each(|text| self.0.intern(text).map(drop))
    }
}

/// Stands in for the chat template, which only the rows of chats need.
#[derive(Debug)]
struct NoChats;

impl TemplateProbe for NoChats {
    fn reasoning_key(&self) -> Option<ReasoningKey> {
        None
    }

    fn printed_reasoning(&self, _: &[Map<String, Value>], _: Option<&str>, _: ReasoningKey) -> Vec<bool> {
        Vec::new()
    }

    fn renders(&self, _: &[Map<String, Value>], _: Option<&str>) -> bool {
        false
    }

    fn refusal(&self, _: &Conversation<'_>) -> Option<String> {
        None
    }
}

/// A parser for rows of `extractive_summary`.
pub struct Parser(RowParser);

impl Default for Parser {
    fn default() -> Self {
        let options =
            ParseOptions { drop_placeholders: false, reasoning: Reasoning::Auto, template: Arc::new(NoChats) };
        Self(RowParser::new(&sources()[0], options))
    }
}

impl Parser {
    /// Parses rows; returns the number of those that are samples.
    pub fn parse(&self, rows: &[String], texts: &Texts) -> usize {
        rows.iter().filter(|row| self.sample(row, &texts.0).is_some()).count()
    }

    fn sample(&self, row: &str, texts: &Interner) -> Option<Sample> {
        match self.0.parse(row.as_bytes(), texts) {
            Ok(row) => row.sample().map(|body| Sample { source: 0, body }),
            Err(_) => None,
        }
    }
}

fn sources() -> Vec<Source> {
    Recipe::default().all_sources()
}

/// Samples and their texts.
pub struct Samples {
    samples: Vec<Sample>,
    texts: TextStore,
    sources: Vec<Source>,
}

impl Samples {
    /// The samples of rows.
    pub fn of(rows: &[String]) -> Self {
        let (parser, texts) = (Parser::default(), Interner::default());
        let samples = rows.iter().filter_map(|row| parser.sample(row, &texts)).collect();
        Self { samples, texts: texts.freeze(), sources: sources() }
    }

    /// Encodes all samples as lines of JSON, with all columns or only those for training.
    pub fn encode(&self, all_columns: bool, out: &mut Vec<u8>) {
        let columns = if all_columns { Columns::Full } else { Columns::Training };
        let layout = row_layout(columns, &self.sources, &self.samples, &self.texts);
        let mut row = RowJson::new(&layout, &self.texts);
        self.samples.iter().for_each(|sample| sample.body.kind().write_json(&self.sources[0], 500, &mut row, out));
    }

    /// Renders the conversations of all samples.
    ///
    /// # Errors
    /// If the chat template fails.
    pub fn render(&self, tokenizer: &Tokenizer) -> Result<Vec<String>> {
        let render = |sample: &Sample| {
            let mut text = String::new();
            let conversation = sample.body.kind().conversation(&self.sources[0], &self.texts);
            tokenizer.0.template.render_into(&conversation, &mut text).map(|()| text)
        };
        self.samples.iter().map(render).collect()
    }
}

/// The built-in tokenizer.
pub struct Tokenizer(LoadedTokenizer, rayon::ThreadPool);

impl Tokenizer {
    /// Loads it, with one thread.
    ///
    /// # Errors
    /// If there is no thread.
    #[expect(clippy::missing_panics_doc, reason = "benchmarks only")]
    pub fn load() -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread starts");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
        let storage = Storage::with_environment(StorageOptions::default(), Environment::default());
        let files = runtime.block_on(tokens::fetch(&storage, &TokenizerModel::Builtin))?;
        let template = Arc::new(ChatTemplate::load(&files, None, TokenizerRules::Auto, tokens::date_of_run()?)?);
        Ok(Self(LoadedTokenizer::load(&files, template, TokenizerRules::Auto, false, &pool)?, pool))
    }

    /// Counts the tokens of texts, each distinct word once.
    ///
    /// # Errors
    /// If a text cannot be encoded.
    pub fn count(&self, texts: &[String]) -> Result<u64> {
        let source = TextSource {
            count: texts.len(),
            text: &|number, out| {
                out.push_str(&texts[number]);
                Ok(())
            },
            progress: &|_| {},
            check: &|| Ok(()),
        };
        let counts = self.0.counter.encode_all(&source, |_, length| length, &self.1)?;
        Ok(counts.values.iter().map(|length| u64::from(*length)).sum())
    }
}
