//! What an engine gives and what it reads: Kubeflow, Argo, a pod. No other room knows these words.

pub(crate) mod component;
pub(crate) mod executor;
pub(crate) mod inputs;
pub(crate) mod kfp_step;
pub(crate) mod outputs;
pub(crate) mod parameters;
pub(crate) mod termination;
