//! The binary beside servers, as users run it, and the folders that it reads and writes.

use crate::s3_server::S3Server;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Environment variables, by name.
pub type Variables = Vec<(String, String)>;

/// The output of a finished run and how it ended.
pub struct Ran {
    /// The exit code; `None` if a signal ended the run.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The binary with only these variables, in a folder without a `.env`.
pub fn command(arguments: &[&str], variables: &Variables) -> Command {
    let mut command = Command::new(crate::binary());
    command.args(arguments).env_clear().current_dir(std::env::temp_dir());
    command.env("AWS_EC2_METADATA_DISABLED", "true").envs(variables.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str], variables: &Variables) -> Ran {
    command(arguments, variables).output().expect("cannot start the binary").into()
}

/// Starts the binary.
pub fn start(arguments: &[&str], variables: &Variables) -> Child {
    command(arguments, variables).spawn().expect("cannot start the binary")
}

/// Runs the binary and asserts that it succeeds.
pub fn succeed(arguments: &[&str], variables: &Variables) -> Ran {
    let ran = run(arguments, variables);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
    ran
}

/// Sends a signal, given by name, to a child process.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

/// The example artifacts of the repository.
pub fn examples() -> PathBuf {
    crate::repository().join("examples/step_02")
}

/// Copies a folder recursively.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The files directly in a folder by name, hidden files included.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeMap::new() };
    let entries = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_file());
    // A run that still cleans up may remove a file between listing and reading.
    entries
        .filter_map(|entry| Some((entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).ok()?)))
        .collect()
}

/// The files of a mix, without what differs between runs that make the same one: the lease, and the run that the manifest names.
pub fn mix_files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(folder);
    files.remove(".knowledge-mixing.lease");
    if let Some(manifest) = files.get_mut("manifest.json") {
        crate::program::without_run(manifest);
    }
    files
}

/// Whether there is a complete manifest; if so, asserts that every file matches it.
pub fn whole(folder: &Path) -> bool {
    let files = files(folder);
    let Some(manifest) = files.get("manifest.json") else { return false };
    let manifest: serde_json::Value = serde_json::from_slice(manifest).expect("a manifest is never torn");
    if manifest["state"] == "replacing" {
        return false;
    }
    for output in manifest["outputs"].as_array().unwrap() {
        let name = output["name"].as_str().unwrap();
        let content = files.get(name).unwrap_or_else(|| panic!("{name} is in the manifest but not in the folder"));
        assert_eq!(output["bytes"].as_u64().unwrap(), content.len() as u64, "{name}");
        assert_eq!(output["digest"].as_str().unwrap(), blake3::hash(content).to_hex().as_str(), "{name}");
    }
    true
}

/// The unfinished multipart uploads on a server.
pub fn open_uploads(server: &S3Server) -> Vec<String> {
    let root = server.bucket("bucket").parent().unwrap().to_path_buf();
    let names = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".upload-")).collect()
}

/// Writes an input whose mixes each take several parts to upload: few rows, long documents.
pub fn large_input(folder: &Path) {
    for (source, seed) in [("extractive_summary", 1u64), ("detailed_summary", 2)] {
        std::fs::create_dir_all(folder.join(source)).unwrap();
        let mut text = String::new();
        for document in 0..25u64 {
            let raw = noise_text(document, 20_000);
            for summary in 0..8u64 {
                let summary_text = noise_text(seed * 1000 + document * 10 + summary, 300);
                for pair in 0..2 {
                    let row = serde_json::json!({
                        "question": format!("What is said in {pair}?"), "response": format!("It is {summary}-{pair}."),
                        "document_outline": format!("document {document}"), "raw_document": raw, "document": summary_text,
                    });
                    text.push_str(&row.to_string());
                    text.push('\n');
                }
            }
        }
        std::fs::write(folder.join(source).join("gen.jsonl"), text).unwrap();
    }
}

fn noise_text(seed: u64, length: usize) -> String {
    let mut bytes = vec![0; length / 2];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A pseudo-random number in `[0, 1)`, a pure function of its arguments.
pub fn draw(seed: u64, at: u64) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, at).hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

/// Calls `work` for each number below `count` on several threads.
pub fn each(count: u64, threads: usize, work: impl Fn(u64) + Sync) {
    let next = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}
