//! `component`: prints what workflow engines load.

use super::print::print;
use crate::cli::{ComponentArguments, Engine};
use crate::error::{Error, ErrorKind, Result};
use crate::workflow::argo::workflow_template_yaml;
use crate::workflow::component::{component_yaml, upstream_component_yaml};

pub(super) fn run(arguments: &ComponentArguments) -> Result<()> {
    let yaml = match (arguments.engine, arguments.upstream) {
        (Engine::Kubeflow, false) => component_yaml,
        (Engine::Kubeflow, true) => upstream_component_yaml,
        (Engine::Argo, false) => workflow_template_yaml,
        (Engine::Argo, true) => {
            let message = "invalid value `argo`: only Kubeflow has an --upstream component";
            return Err(Error::new(ErrorKind::Usage, message).at("--for").hint("omit --upstream or --for"));
        }
    };
    print(&yaml(&arguments.image))
}
