//! What an engine gives and what it reads: Kubeflow, Argo, a pod. No other room knows these words.

pub mod component;
pub mod executor;
pub mod inputs;
pub mod kfp_step;
pub mod outputs;
pub mod parameters;
pub mod termination;
