//! The figures of a run that engines show: as output parameters, and as the metrics that one compares between runs.

use serde_json::{Map, Value};

/// A figure of `metrics.json` that engines show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    /// The name in Kubeflow's interface: that in `metrics.json`, without the prefix of the selected cut, so that it is the same for
    /// runs with other cuts.
    pub(super) name: &'static str,
    scope: Scope,
    /// The output parameter, if there is one: the same name with underscores, because engines read `a.b` in an expression as two names.
    pub(super) parameter: Option<&'static str>,
    /// Whether it is worth a place in Kubeflow's interface.
    pub(super) is_compared: bool,
}

/// What a figure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The input.
    Run,
    /// The mix of the selected cut.
    Cut,
}

/// All of them, in the order in which engines show them. Samples and tokens are the parameters `total_samples` and `total_tokens`, which
/// are known without `metrics.json`. `longest_sample` and `loss_tokens` have names of their own: workflows read them by these names.
pub(super) const FIGURES: [Figure; 13] = [
    of_run("rows.read").parameter("rows_read"),
    of_run("rows.kept").parameter("rows_kept").only_parameter(),
    of_run("rows.dropped").parameter("rows_dropped"),
    of_cut("samples"),
    of_cut("tokens"),
    of_cut("training.loss_tokens").parameter("loss_tokens"),
    of_cut("validation.samples").parameter("validation_samples"),
    of_cut("token_length.median"),
    of_cut("token_length.p95"),
    of_cut("token_length.max").parameter("longest_sample"),
    of_cut("preflight.dropped").parameter("preflight_dropped"),
    of_cut("preflight.steps").parameter("preflight_steps"),
    of_cut("preflight.tokens_per_step"),
];

const fn of_run(name: &'static str) -> Figure {
    Figure { name, scope: Scope::Run, parameter: None, is_compared: true }
}

const fn of_cut(name: &'static str) -> Figure {
    Figure { name, scope: Scope::Cut, parameter: None, is_compared: true }
}

impl Figure {
    const fn parameter(self, name: &'static str) -> Self {
        Self { parameter: Some(name), ..self }
    }

    const fn only_parameter(self) -> Self {
        Self { is_compared: false, ..self }
    }

    /// The value in `metrics.json`; `None` if the run has not counted it.
    pub(super) fn of(self, metrics: &Map<String, Value>, selected_cut: u32) -> Option<&Value> {
        match self.scope {
            Scope::Run => metrics.get(self.name),
            Scope::Cut => metrics.get(&format!("cut_{selected_cut}.{}", self.name)),
        }
    }
}

/// The names of the output parameters.
pub(super) fn parameters() -> impl Iterator<Item = &'static str> {
    FIGURES.into_iter().filter_map(|figure| figure.parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new figure gets one name; these two had theirs before.
    #[test]
    fn a_figure_has_one_name_for_all_engines() {
        let own_names: Vec<_> = FIGURES
            .into_iter()
            .filter_map(|figure| Some((figure.name, figure.parameter?)))
            .filter(|(name, parameter)| name.replace('.', "_") != *parameter)
            .collect();
        assert_eq!(own_names, [("training.loss_tokens", "loss_tokens"), ("token_length.max", "longest_sample")]);
        let names: std::collections::BTreeSet<_> = FIGURES.iter().map(|figure| figure.name).collect();
        assert_eq!(names.len(), FIGURES.len());
    }
}
