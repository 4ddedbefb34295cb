//! `component`: prints Kubeflow's `component.yaml`.

use super::print::print;
use crate::cli::ComponentArguments;
use crate::error::Result;
use crate::workflow::component::{component_yaml, upstream_component_yaml};

pub(super) fn run(arguments: &ComponentArguments) -> Result<()> {
    let yaml = if arguments.upstream { upstream_component_yaml } else { component_yaml };
    print(&yaml(&arguments.image))
}
