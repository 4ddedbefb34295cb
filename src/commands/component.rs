//! `component`: prints Kubeflow's `component.yaml`.

use super::print::print;
use crate::cli::ComponentArguments;
use crate::error::Result;
use crate::workflow::component::component_yaml;

pub(super) fn run(arguments: &ComponentArguments) -> Result<()> {
    print(&component_yaml(&arguments.image))
}
