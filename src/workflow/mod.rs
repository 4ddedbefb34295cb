//! What an engine reads: Kubeflow, Argo, a pod.
