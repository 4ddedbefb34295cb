//! `report.html`: one page that needs nothing but itself, for people who are about to start a training.
//!
//! What it shows is prepared here and in [`views`](super::views); how it looks is in `page.html` and `page.css`. All
//! figures that `metrics.json` also has are taken from there and marked with its names (`data-metric`). Texts of others
//! (names, outlines, conversations) pass the template's escaping; no script is on the page, and its own policy forbids any.

use super::format;
use super::metrics::metrics;
use super::statistics::{LIMITS, Statistics};
use super::table::{self, Occasion};
use super::views;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Manifest;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, State, context};

/// The name of the page's file.
pub(crate) const PAGE_NAME: &str = "report.html";

/// At most so many input files are listed; the manifest has them all.
const INPUTS_SHOWN: usize = 100;

/// The page of a run.
///
/// In go the manifest as far as it is known (its list of outputs without the page itself) and the statistics; out comes
/// the text of `report.html`. The same input gives the same bytes. An error is a bug of this program.
pub(crate) fn page(manifest: &Manifest, statistics: &Statistics) -> Result<String> {
    let figures = metrics(manifest, statistics);
    let infeasible: Vec<String> = table::infeasible_cuts(manifest, Occasion::Mix).collect();
    let settings = serde_json::to_value(&manifest.settings).map_err(bug)?;
    let recipe = match &manifest.settings.recipe {
        Some(recipe) => Some(serde_json::to_string_pretty(recipe).map_err(bug)?),
        None => None,
    };
    let view = context! {
        style => Value::from_safe_string(include_str!("page.css").to_owned()),
        figures => Serde(&figures),
        limits => LIMITS,
        warnings => statistics.warnings.clone(),
        infeasible,
        mean_summaries => table::mean_summaries(statistics),
        cuts => views::cuts(manifest, statistics),
        bars => views::bars(statistics)?,
        drops => views::drops(manifest),
        distributions => views::distributions(statistics)?,
        documents => views::documents(manifest, statistics)?,
        conversations => views::conversations(statistics),
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
    // The name's ending switches the escaping on; `a_hostile_text_stays_a_text` watches over it.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::SemiStrict);
    environment.add_filter("thousands", format::thousands);
    environment.add_filter("size", format::size);
    environment.add_filter("line", |text: &str| format::line(text));
    environment.add_filter("short", |text: &str, max: usize| format::short(text, max));
    environment.add_function("percent", format::percent);
    environment.add_function("counted", |number: u64, one: &str, several: &str| format::counted(number, one, several));
    environment.add_function("metric", |state: &State<'_, '_>, name: &str| {
        state.lookup("figures").and_then(|figures| figures.get_item(&Value::from(name)).ok()).unwrap_or_default()
    });
    environment.add_template("page.html", include_str!("page.html"))?;
    Ok(environment)
}

fn bug(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Bug, "cannot make the report's page").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{metrics::metrics_json, synthetic};
    use std::collections::BTreeMap;

    /// Every `data-metric` of a page with the number that a reader sees.
    fn seen(page: &str) -> BTreeMap<String, u64> {
        let parts = page.split("data-metric=\"").skip(1);
        let read = parts.map(|part| {
            let (name, rest) = part.split_once("\">").unwrap();
            let number: String = rest.split('<').next().unwrap().chars().filter(|c| *c != ',').collect();
            (unescape(name), number.parse().unwrap())
        });
        read.collect()
    }

    fn unescape(text: &str) -> String {
        let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")];
        signs.iter().fold(text.to_owned(), |text, (escaped, sign)| text.replace(escaped, sign))
    }

    #[test]
    fn the_page_shows_every_figure_of_metrics_json_and_no_other() {
        for (manifest, statistics) in
            [synthetic::small(), synthetic::with_recipe(), synthetic::many_sources(), synthetic::hostile()]
        {
            let figures = metrics(&manifest, &statistics);
            let expected: BTreeMap<_, _> =
                figures.iter().map(|(name, value)| (name.clone(), value.as_u64().unwrap())).collect();
            assert_eq!(seen(&page(&manifest, &statistics).unwrap()), expected);
        }
    }

    #[test]
    fn a_hostile_text_stays_a_text() {
        let (manifest, statistics) = synthetic::hostile();
        let page = page(&manifest, &statistics).unwrap();
        for harm in ["<script", "<img", "</script", "\u{1b}", "\0"] {
            assert!(!page.contains(harm), "{harm:?}");
        }
        for text in ["&lt;script&gt;", "&amp;lt;b&amp;gt;", "{{ 7 * 7 }}"] {
            assert!(page.contains(text), "{text}");
        }
        assert_eq!(page.matches("</html>").count(), 1);
    }

    #[test]
    fn the_page_needs_nothing_but_itself_and_is_the_same_each_time() {
        let (manifest, statistics) = synthetic::with_recipe();
        let text = page(&manifest, &statistics).unwrap();
        assert_eq!(text, page(&manifest, &statistics).unwrap());
        for reach in ["http://", "https://", "url(", "@import"] {
            assert!(!text.contains(reach), "{reach}");
        }
        let tags = text.split('<').skip(1).map(|part| part.split('>').next().unwrap_or_default());
        for tag in tags {
            let calm = !tag.contains(" src=") && !tag.contains(" on") && !tag.starts_with("script");
            assert!(calm && !tag.contains("href=") || tag == "link rel=\"icon\" href=\"data:,\"", "{tag}");
        }
    }

    #[test]
    fn a_page_of_nothing_is_a_page() {
        let (mut manifest, _) = synthetic::small();
        manifest.cuts.clear();
        manifest.sources.clear();
        manifest.inputs.clear();
        manifest.outputs.clear();
        assert!(page(&manifest, &Statistics::default()).unwrap().contains("</html>"));
    }

    #[test]
    fn a_huge_run_stays_a_page_that_opens() {
        let (manifest, statistics) = synthetic::huge();
        let text = page(&manifest, &statistics).unwrap();
        assert!(text.len() < 400_000, "{}", text.len());
    }

    /// Writes pages to look at, with their metrics: `cargo test --lib pages_to_look_at -- --ignored`.
    #[test]
    #[ignore = "writes files into target/report"]
    fn pages_to_look_at() {
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
            let figures = metrics_json(&metrics(&manifest, &statistics));
            std::fs::write(folder.join(format!("{name}.json")), figures).unwrap();
        }
    }
}
