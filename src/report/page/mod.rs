//! `report.html`: one self-contained page for people who are about to start a training run.
//!
//! Its content is prepared by this module's files; its layout is in `page.html`, `chart.html` and `page.css`. Every figure
//! that `metrics.json` has comes from there and carries its name (`data-metric`). The template escapes untrusted text
//! (names, outlines, conversations). The page has one script, for searching the samples; its own content security policy allows
//! that one, by its digest, and no other. Without scripts the page lacks nothing but the search.

mod charts;
mod documents;
mod lengths;
mod overview;
mod ridges;
mod views;

use super::format;
use super::metrics::metrics;
use super::statistics::{LIMITS, Statistics};
use super::wording::{RunKind, average_summaries, infeasible_cuts, not_documents, rows_of, training_calls};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{Manifest, MixKind};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, State, context};

/// The page's script, and its SHA-256 digest in Base64, as a content security policy has it.
const SCRIPT: &str = include_str!("page.js");
const SCRIPT_DIGEST: &str = "CPXcz66+mQFL2A1YfUx3m6VbNGZe9JaUBZOOwtTJkDo=";

/// The number of input files that the page lists; the manifest has all of them.
const INPUTS_SHOWN: usize = 100;

/// The page of a run, from its manifest (without the page itself) and its statistics.
///
/// The same input gives the same bytes.
///
/// # Errors
/// A bug of this program.
pub(crate) fn page(manifest: &Manifest, statistics: &Statistics) -> Result<String> {
    let figures = metrics(manifest, statistics);
    let settings = serde_json::to_value(&manifest.settings).map_err(bug)?;
    let recipe = manifest.settings.recipe.as_ref().map(serde_json::to_string_pretty).transpose().map_err(bug)?;
    let view = context! {
        style => Value::from_safe_string(include_str!("page.css").to_owned()),
        figures => Serde(&figures),
        limits => LIMITS,
        warnings => statistics.warnings.clone(),
        infeasible => infeasible_cuts(manifest, RunKind::Mix).collect::<Vec<_>>(),
        average_summaries => average_summaries(statistics),
        cuts => views::cuts(manifest),
        document_mixes => views::document_mixes(manifest),
        not_documents => not_documents(manifest),
        trainings => views::trainings(manifest),
        preflights => views::preflights(manifest),
        training_calls => training_calls(manifest),
        rows_name => rows_of(manifest.main_mix()),
        bars => views::bars(statistics, manifest.main_mix()),
        drops => views::drops(manifest),
        facts => overview::facts(manifest),
        tiles => overview::tiles(manifest, statistics),
        lengths => lengths::lengths(statistics, manifest.settings.max_seq_len).map(Serde),
        flags => views::flags(statistics),
        documents => documents::documents(manifest, statistics),
        made => views::made(manifest),
        only_documents => manifest.main_mix() == MixKind::Document,
        judged => manifest.judged().map(|source| source.kept).sum::<u64>(),
        samples => views::samples(statistics),
        choices => views::sample_choices(statistics),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        script_digest => SCRIPT_DIGEST,
        settings => views::settings(&settings),
        recipe,
        manifest => Serde(manifest),
        inputs_shown => INPUTS_SHOWN,
        counted_by => statistics.counted_by.as_str(),
    };
    let environment = environment().map_err(bug)?;
    environment.get_template("page.html").and_then(|template| template.render(view)).map_err(bug)
}

fn environment() -> std::result::Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    // The suffix of a template's name turns escaping on; `untrusted_text_stays_text` checks it.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::SemiStrict);
    environment.add_filter("thousands", format::thousands);
    environment.add_filter("size", format::size);
    environment.add_filter("line", |text: &str| format::line(text));
    environment.add_function("percent", format::percent);
    environment
        .add_function("counted", |number: u64, singular: &str, plural: &str| format::counted(number, singular, plural));
    environment.add_function("metric", |state: &State<'_, '_>, name: &str| {
        state.lookup("figures").and_then(|figures| figures.get_item(&Value::from(name)).ok()).unwrap_or_default()
    });
    environment.add_template("chart.html", include_str!("chart.html"))?;
    environment.add_template("page.html", include_str!("page.html"))?;
    Ok(environment)
}

fn bug(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Bug, "cannot render report.html").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;
    use std::collections::BTreeMap;

    /// Every `data-metric` of a page and the number that a reader sees.
    fn shown_metrics(page: &str) -> BTreeMap<String, u64> {
        let parts = page.split("data-metric=\"").skip(1);
        let numbers = parts.map(|part| {
            let (name, rest) = part.split_once("\">").unwrap();
            let number: String = rest.split('<').next().unwrap().chars().filter(|c| *c != ',').collect();
            (unescape(name), number.parse().unwrap())
        });
        numbers.collect()
    }

    fn unescape(text: &str) -> String {
        let entities =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")];
        entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
    }

    #[test]
    fn the_page_shows_every_metric_that_is_not_zero_and_no_other() {
        for (manifest, statistics) in [
            synthetic::small(),
            synthetic::with_recipe(),
            synthetic::many_sources(),
            synthetic::hostile(),
            synthetic::with_documents(),
            synthetic::only_documents(),
        ] {
            let figures = metrics(&manifest, &statistics);
            let shown = shown_metrics(&page(&manifest, &statistics).unwrap());
            for (name, value) in &shown {
                assert_eq!(figures.get(name).and_then(serde_json::Value::as_u64), Some(*value), "{name}");
            }
            // Rows that say nothing are left out.
            for (name, value) in figures.iter().filter(|(_, value)| value.as_u64() != Some(0)) {
                assert!(shown.contains_key(name), "{name}: {value}");
            }
        }
    }

    #[test]
    fn the_policy_allows_the_script() {
        use base64::Engine as _;
        use sha2::Digest as _;
        let digest = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(SCRIPT));
        assert_eq!(digest, SCRIPT_DIGEST);
    }

    #[test]
    fn untrusted_text_stays_text() {
        let (manifest, statistics) = synthetic::hostile();
        let page = page(&manifest, &statistics).unwrap();
        assert_eq!(page.matches("<script").count(), 1);
        for markup in ["<script ", "<img", "</script><", "\u{1b}", "\0"] {
            assert!(!page.contains(markup), "{markup:?}");
        }
        for text in ["&lt;script&gt;", "&amp;lt;b&amp;gt;", "{{ 7 * 7 }}"] {
            assert!(page.contains(text), "{text}");
        }
        assert_eq!(page.matches("</html>").count(), 1);
    }

    #[test]
    fn the_page_is_self_contained_and_reproducible() {
        let (manifest, statistics) = synthetic::with_recipe();
        let text = page(&manifest, &statistics).unwrap();
        assert_eq!(text, page(&manifest, &statistics).unwrap());
        for reference in ["http://", "https://", "url(", "@import"] {
            assert!(!text.contains(reference), "{reference}");
        }
        let tags = text.split('<').skip(1).map(|part| part.split('>').next().unwrap_or_default());
        for tag in tags {
            let inert = !tag.contains(" src=") && !tag.contains(" on");
            assert!(inert && !tag.contains("href=") || tag == "link rel=\"icon\" href=\"data:,\"", "{tag}");
        }
    }

    #[test]
    fn an_empty_run_has_a_page() {
        let (mut manifest, _) = synthetic::small();
        manifest.cuts.clear();
        manifest.sources.clear();
        manifest.inputs.clear();
        manifest.outputs.clear();
        assert!(page(&manifest, &Statistics::default()).unwrap().contains("</html>"));
    }

    #[test]
    fn the_page_of_a_huge_run_stays_small() {
        let (manifest, statistics) = synthetic::huge();
        let text = page(&manifest, &statistics).unwrap();
        assert!(text.len() < 400_000, "{}", text.len());
    }

    /// Writes pages and their metrics for a look in a browser: `cargo test --lib write_sample_pages -- --ignored`.
    #[test]
    #[ignore = "writes files into target/report"]
    fn write_sample_pages() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/report");
        std::fs::create_dir_all(&folder).unwrap();
        let runs = [
            ("small", synthetic::small()),
            ("typical", synthetic::typical()),
            ("recipe", synthetic::with_recipe()),
            ("huge", synthetic::huge()),
            ("hostile", synthetic::hostile()),
            ("many-sources", synthetic::many_sources()),
        ];
        for (name, (manifest, statistics)) in runs {
            std::fs::write(folder.join(format!("{name}.html")), page(&manifest, &statistics).unwrap()).unwrap();
            let figures = serde_json::to_string_pretty(&metrics(&manifest, &statistics)).unwrap();
            std::fs::write(folder.join(format!("{name}.json")), figures).unwrap();
        }
    }
}
