//! The interfaces of workflow engines: what Kubeflow, Argo and Kubernetes pass to a step and read from it.

pub(crate) mod argo;
pub(crate) mod component;
mod executor;
mod figures;
mod files;
#[cfg(test)]
mod fixtures;
mod inputs;
pub(crate) mod kfp_step;
pub(crate) mod mix_result;
mod output_paths;
mod outputs;
pub(crate) mod parameters;
pub(crate) mod termination;
pub(crate) mod trainer;
mod upstream;
