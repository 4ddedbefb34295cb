//! `workflow-template.yaml`: the step as templates of Argo Workflows. Their inputs come from the table of settings.
//!
//! Nothing of a workflow template's `spec` reaches a workflow that refers to one of its templates (`templateRef`), so every template
//! has all that it needs: image, account, security, volumes, retries, resources. Settings have no default here: an empty value
//! counts as not given, so a recipe can set it.

use super::component::choices_and_default;
use super::figures;
use super::parameters::DATASET_URI;
use crate::settings::{self, Setting};
use serde_json::Value;
use std::fmt::Write;

/// The folder of the output parameters, on a volume of the pod.
const OUTPUTS: &str = "/outputs";

/// Settings that the templates set themselves.
const NOT_INPUTS: [&str; 3] = ["input", "output", "log_format"];

/// Output parameters with the value of a step that has not got that far.
const PARAMETERS: [(&str, &str); 4] =
    [("feasible_cuts", "[]"), ("selected_cut", "0"), ("total_samples", "0"), ("total_tokens", "0")];

/// The sub-command that a template runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Mix,
    Plan,
    Verify,
}

/// Where a template reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At URLs.
    Bucket,
    /// In folders of a claim's volume.
    Volume,
}

/// A template of the file.
#[derive(Debug, Clone, Copy)]
struct Template {
    action: Action,
    place: Place,
}

/// An input parameter; without a default it has to be given.
struct Input {
    name: String,
    default: Option<String>,
    help: String,
}

/// The text of `workflow-template.yaml` for an image.
pub(crate) fn workflow_template_yaml(image: &str) -> String {
    let mut yaml = HEADER.to_owned();
    for action in [Action::Mix, Action::Plan, Action::Verify] {
        for place in [Place::Bucket, Place::Volume] {
            Template { action, place }.write(&mut yaml, image);
        }
    }
    yaml
}

impl Template {
    fn name(self) -> &'static str {
        match (self.action, self.place) {
            (Action::Mix, Place::Bucket) => "mix",
            (Action::Mix, Place::Volume) => "mix-volume",
            (Action::Plan, Place::Bucket) => "plan",
            (Action::Plan, Place::Volume) => "plan-volume",
            (Action::Verify, Place::Bucket) => "verify",
            (Action::Verify, Place::Volume) => "verify-volume",
        }
    }

    fn about(self) -> &'static str {
        match (self.action, self.place) {
            (Action::Mix, Place::Bucket) => "Writes the training files, from URL to URL",
            (Action::Mix, Place::Volume) => "Writes the training files, from folder to folder of a volume",
            (Action::Plan, Place::Bucket) => "Decides what `mix` would write, and writes nothing",
            (Action::Plan, Place::Volume) => "Decides what `mix-volume` would write, and writes nothing",
            (Action::Verify, Place::Bucket) => "Reads a finished mix again and compares it with its manifest",
            (Action::Verify, Place::Volume) => {
                "Reads a finished mix on a volume again and compares it with its manifest"
            }
        }
    }

    fn has_settings(self) -> bool {
        self.action != Action::Verify
    }

    fn write(self, yaml: &mut String, image: &str) {
        let _ = write!(
            yaml,
            "\n    # {}.\n    - name: {}\n      inputs:\n        parameters:\n",
            self.about(),
            self.name()
        );
        for Input { name, default, help } in self.inputs(image) {
            let value = default.map_or_else(String::new, |default| format!(", value: {}", quoted(&default)));
            let _ = writeln!(yaml, "          - {{name: {name}{value}, description: {}}}", quoted(&help));
        }
        if self.has_settings() {
            yaml.push_str("      outputs:\n        parameters:\n");
            for (name, default) in self.outputs() {
                let _ = writeln!(
                    yaml,
                    "          - {{name: {name}, valueFrom: {{path: {OUTPUTS}/{name}, default: {}}}}}",
                    quoted(default)
                );
            }
        }
        yaml.push_str(POD);
        if self.place == Place::Volume {
            yaml.push_str(PATCH_OF_VOLUME);
        }
        self.write_volumes(yaml);
        yaml.push_str(COMMAND);
        for argument in self.arguments() {
            let _ = writeln!(yaml, "          - {}", quoted(&argument));
        }
        yaml.push_str(CONTAINER);
        self.write_mounts(yaml);
    }

    /// The inputs in the order of the file: those that have to be given, the engine's, the settings.
    fn inputs(self, image: &str) -> Vec<Input> {
        let input = |name: &str, default: Option<&str>, help: &str| Input {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            help: help.to_owned(),
        };
        let place = |what: &str| match self.place {
            Place::Bucket => format!("URL {what}"),
            Place::Volume => format!("Folder of the volume {what}"),
        };
        let mut inputs = Vec::new();
        if self.has_settings() {
            inputs.push(input("input", None, &place("that contains the source folders")));
        }
        match self.action {
            Action::Mix => inputs.push(input("output", None, &place("to write the mixes to"))),
            Action::Verify => inputs.push(input("mix", None, &place("with the mix"))),
            Action::Plan => {}
        }
        if self.place == Place::Volume {
            inputs.push(input("claim", Some("knowledge-tuning"), "Persistent volume claim with the folders"));
            let help = "Group that the volume is made writable for; empty: as the cluster sets it";
            inputs.push(input("fs-group", Some(""), help));
        }
        inputs.extend([
            input("image", Some(image), "Image of the step"),
            input("service-account", Some("knowledge-mixing"), "Service account of the pod"),
            input(
                "secret",
                Some("knowledge-mixing-s3"),
                "Secret whose keys become environment variables, if it exists",
            ),
            input("cpu", Some("1"), "CPUs to reserve; the step uses what is free"),
            input("memory", Some("2Gi"), "Memory to reserve, and its limit"),
            input("deadline", Some("604800"), "Seconds after which a pod is stopped"),
        ]);
        if self.has_settings() {
            inputs.extend(settings().map(|setting| Input {
                name: parameter(setting),
                default: Some(String::new()),
                help: setting.help() + &choices_and_default(setting),
            }));
        }
        inputs
    }

    /// Output parameters and their defaults.
    fn outputs(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let dataset = (self.action == Action::Mix).then_some((DATASET_URI, ""));
        PARAMETERS.into_iter().chain(dataset).chain(figures::parameters().map(|name| (name, "")))
    }

    fn write_volumes(self, yaml: &mut String) {
        yaml.push_str("      volumes:\n        - {name: tmp, emptyDir: {}}\n");
        if self.has_settings() {
            yaml.push_str("        - {name: outputs, emptyDir: {}}\n");
        }
        if self.place == Place::Volume {
            yaml.push_str(
                "        - {name: data, persistentVolumeClaim: {claimName: \"{{inputs.parameters.claim}}\"}}\n",
            );
        }
    }

    fn write_mounts(self, yaml: &mut String) {
        yaml.push_str("        volumeMounts:\n          - {name: tmp, mountPath: /tmp}\n");
        if self.has_settings() {
            let _ = writeln!(yaml, "          - {{name: outputs, mountPath: {OUTPUTS}}}");
        }
        if self.place == Place::Volume {
            yaml.push_str("          - {name: data, mountPath: /data}\n");
        }
    }

    fn arguments(self) -> Vec<String> {
        let below = match self.place {
            Place::Bucket => "",
            Place::Volume => "/data/",
        };
        let given = |name: &str| format!("{{{{inputs.parameters.{name}}}}}");
        let mut arguments: Vec<String> = match self.action {
            Action::Mix => vec!["mix".into(), format!("--output={below}{}", given("output"))],
            Action::Plan => vec!["plan".into(), "--format=json".into()],
            Action::Verify => vec!["verify".into(), format!("{below}{}", given("mix"))],
        };
        if self.has_settings() {
            arguments.insert(1, format!("--input={below}{}", given("input")));
            arguments.extend(settings().map(|setting| format!("{}={}", setting.flag(), given(&parameter(setting)))));
            arguments.push(format!("--output-parameters={OUTPUTS}"));
        }
        arguments.push("--log-format=json".into());
        arguments
    }
}

/// What comes before the templates.
const HEADER: &str = r#"# Generated by `knowledge-mixing component --for argo` from src/settings/table.rs and src/workflow/argo.rs: do not edit.
#
# The step as templates for other workflows: `mix`, `plan` and `verify` read and write URLs; `mix-volume`, `plan-volume` and
# `verify-volume` read and write folders of a persistent volume claim. Each stands alone: a `templateRef` gives the inputs
# without a default and nothing else. README.md explains them.
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata:
  name: knowledge-mixing
  labels: {app.kubernetes.io/name: knowledge-mixing}
spec:
  # For workflows made of this file alone: argo submit --from workflowtemplate/knowledge-mixing -p input=... -p output=...
  entrypoint: mix
  serviceAccountName: knowledge-mixing
  podGC: {strategy: OnPodSuccess}
  ttlStrategy: {secondsAfterSuccess: 86400, secondsAfterFailure: 604800}
  templates:
"#;

/// What all templates say of their pods.
const POD: &str = r#"      # Retries only what a retry can fix: 69 storage is unreachable, 75 another run is publishing to the same output, 137 and 143 the
      # pod was killed, evicted or preempted, and pods that were lost or could not be made (-1); not what the cluster forbids, and
      # not after the deadline. A retry starts over: a partial file never has its final name. Argo waits before it looks at the
      # expression, so the first backoff, which every failure costs, is short. No maxDuration: it would end a long mix.
      retryStrategy:
        limit: "5"
        retryPolicy: Always
        expression: >-
          !(lastRetry.message contains "specified deadline") && (asInt(lastRetry.exitCode) in [69, 75, 137, 143]
          || (lastRetry.status == "Error" || lastRetry.exitCode == "-1") && !(lastRetry.message contains "forbidden"))
        backoff: {duration: 5s, factor: "4"}
      serviceAccountName: "{{inputs.parameters.service-account}}"
      activeDeadlineSeconds: "{{inputs.parameters.deadline}}"
      metadata: {labels: {app.kubernetes.io/name: knowledge-mixing}}
      # No user and no group, so that OpenShift can choose them: the image runs as any uid.
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      # What parameters cannot set elsewhere, and what a namespace with the Pod Security level `restricted` requires of Argo's
      # own containers.
      podSpecPatch: |
        initContainers:
          - name: init
            securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
        containers:
          - name: wait
            securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
          - name: main
            resources:
              requests: {cpu: "{{inputs.parameters.cpu}}", memory: "{{inputs.parameters.memory}}"}
              limits: {memory: "{{inputs.parameters.memory}}"}
"#;

/// More of the patch, for templates with a volume. An empty group is no group.
const PATCH_OF_VOLUME: &str = r"        securityContext:
          fsGroup: {{inputs.parameters.fs-group}}
";

/// The beginning of the container, up to its arguments.
const COMMAND: &str = r#"      container:
        image: "{{inputs.parameters.image}}"
        # Required: without it Argo looks the command up in the image registry.
        command: [/usr/local/bin/knowledge-mixing]
        args:
"#;

/// The container after its arguments.
const CONTAINER: &str = r#"        # With workload identity, neither secret is needed.
        envFrom:
          - secretRef: {name: "{{inputs.parameters.secret}}", optional: true}
        env:
          - name: HF_TOKEN
            valueFrom: {secretKeyRef: {name: hugging-face, key: token, optional: true}}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {drop: [ALL]}
"#;

/// The settings that are inputs: those of Kubeflow's component.
fn settings() -> impl Iterator<Item = &'static Setting> {
    settings::all().filter(|setting| setting.kfp.is_some() && !NOT_INPUTS.contains(&setting.name))
}

/// The name of a setting's parameter: that of its flag.
fn parameter(setting: &Setting) -> String {
    setting.flag().trim_start_matches('-').to_owned()
}

/// A JSON string, which is also a YAML string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command};
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    #[test]
    fn the_file_in_the_repository_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/argo/workflow-template.yaml");
        let now = workflow_template_yaml(cli::DEFAULT_IMAGE);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let file = std::fs::read_to_string(path).unwrap_or_default();
        assert!(file == now, "workflow-template.yaml is stale: run `UPDATE_DOCS=1 cargo test --lib`");
    }

    fn templates() -> Vec<Value> {
        let value: Value = serde_yaml::from_str(&workflow_template_yaml("registry/x:1")).unwrap();
        value["spec"]["templates"].as_array().unwrap().clone()
    }

    fn names(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn only_locations_have_to_be_given() {
        let required = |template: &Value| {
            let inputs = template["inputs"]["parameters"].as_array().unwrap().clone();
            let unset = inputs.iter().filter(|input| input.get("value").is_none());
            unset.map(|input| input["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let templates = templates();
        let found: Vec<_> = templates.iter().map(|t| (t["name"].as_str().unwrap(), required(t).join(" "))).collect();
        let expected = [
            ("mix", "input output"),
            ("mix-volume", "input output"),
            ("plan", "input"),
            ("plan-volume", "input"),
            ("verify", "mix"),
            ("verify-volume", "mix"),
        ];
        assert_eq!(found, expected.map(|(name, inputs)| (name, inputs.to_owned())));
    }

    #[test]
    fn every_reference_is_to_an_input_and_every_input_is_used() {
        for template in templates() {
            let inputs = names(&template["inputs"]["parameters"]);
            let unique: BTreeSet<&str> = inputs.iter().copied().collect();
            assert_eq!(unique.len(), inputs.len(), "{inputs:?}");
            let text = template.to_string();
            let used = text.split("{{").skip(1).map(|part| part.split("}}").next().unwrap());
            let used: BTreeSet<&str> = used.map(|name| name.strip_prefix("inputs.parameters.").unwrap()).collect();
            assert_eq!(used, unique, "{}", template["name"]);
        }
    }

    /// An input is empty unless it is given: every command line is valid then.
    #[test]
    fn the_command_line_without_settings_is_that_of_the_defaults() {
        for template in templates() {
            let arguments = template["container"]["args"].as_array().unwrap().iter();
            let arguments = arguments.map(|argument| {
                let text = argument.as_str().unwrap();
                let is_location = ["--input=", "--output="].iter().any(|flag| text.starts_with(flag));
                OsString::from(match text.split_once("{{") {
                    Some((flag, _)) if is_location => format!("{flag}x"),
                    Some((flag, _)) => flag.to_owned(),
                    None => text.to_owned(),
                })
            });
            let parsed = cli::parse(std::iter::once(OsString::from("knowledge-mixing")).chain(arguments)).unwrap();
            match parsed.command {
                Command::Mix(cli::MixArguments { settings: given, .. })
                | Command::Plan(cli::PlanArguments { settings: given, .. }) => {
                    let settings = settings::Settings::resolve(&given, None, &settings::Environment::default());
                    assert_eq!(settings.unwrap().cut_sizes, [5, 50]);
                }
                Command::Verify(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_output_parameters_are_those_that_the_program_writes() {
        for template in templates().iter().filter(|template| template.get("outputs").is_some()) {
            for output in template["outputs"]["parameters"].as_array().unwrap() {
                let name = output["name"].as_str().unwrap();
                assert_eq!(output["valueFrom"]["path"], format!("{OUTPUTS}/{name}"));
                assert!(output["valueFrom"]["default"].is_string(), "{output}");
            }
        }
        let manifest = crate::workflow::fixtures::manifest();
        let parameters = crate::workflow::parameters::OutputParameters::of(&manifest, 5).unwrap();
        let written = parameters.with_dataset_uri("x".into()).values();
        let declared = Template { action: Action::Mix, place: Place::Bucket }.outputs();
        let declared: BTreeSet<&str> = declared.map(|(name, _)| name).collect();
        assert!(written.keys().all(|name| declared.contains(name.as_str())), "{written:?}");
        assert_eq!(declared.len(), written.len() + figures::parameters().count());
    }
}
