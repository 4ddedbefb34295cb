//! The binary in a temporary folder, with an empty environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A temporary working folder. Arguments are paths relative to it, so messages are the same on every machine.
pub struct Sandbox {
    folder: TempDir,
}

/// Removes what differs between two manifests of the same mix.
pub fn without_run(manifest: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(manifest).into_owned();
    let lines = text.split_inclusive('\n').filter(|line| !line.starts_with("  \"run\": "));
    *manifest = lines.collect::<String>().into_bytes();
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

/// The exit code and the output of a finished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; 128 plus its number if a signal ended the run.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// All files below a folder by relative path, hidden files included.
pub type Tree = BTreeMap<String, Vec<u8>>;

impl Sandbox {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("cannot create a temporary folder") }
    }

    /// The absolute form of a relative path.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file and creates its parent folders.
    pub fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("a relative path has a parent")).expect("cannot create folders");
        std::fs::write(path, bytes).expect("cannot write a file");
    }

    /// Writes every file of a tree below a folder.
    pub fn write_tree(&self, relative: &str, tree: &Tree) {
        for (name, bytes) in tree {
            self.write(&format!("{relative}/{name}"), bytes);
        }
    }

    /// The content of a file.
    pub fn read(&self, relative: &str) -> Vec<u8> {
        std::fs::read(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    /// The content of a text file.
    pub fn read_text(&self, relative: &str) -> String {
        String::from_utf8(self.read(relative)).expect("the file is UTF-8")
    }

    /// Replaces the random name of this folder with `[folder]`.
    pub fn anonymous(&self, text: &str) -> String {
        let resolved = self.folder.path().canonicalize().expect("the folder exists");
        let names = [self.folder.path(), &resolved].map(|path| path.to_string_lossy().into_owned());
        names.iter().fold(text.to_owned(), |text, name| text.replace(name, "[folder]"))
    }

    /// All files below a folder.
    pub fn tree(&self, relative: &str) -> Tree {
        let mut tree = Tree::new();
        let root = self.path(relative);
        collect(&root, &root, &mut tree);
        for (_, manifest) in tree.iter_mut().filter(|(name, _)| name.ends_with("manifest.json")) {
            without_run(manifest);
        }
        tree
    }

    /// The binary with an empty environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::binary());
        command.args(arguments).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        // A coverage run measures the program, too.
        if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs the binary with these variables.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        command.output().expect("cannot start the binary").into()
    }

    /// Runs the binary; also returns its peak resident memory in bytes.
    pub fn run_measured(&self, arguments: &[&str]) -> (Ran, u64) {
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cannot start the binary");
        let status = format!("/proc/{}/status", child.id());
        let waiting = std::thread::spawn(move || child.wait_with_output().expect("cannot wait for the binary"));
        let mut peak = 0;
        while !waiting.is_finished() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let kilobytes =
                text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
            peak = peak.max(kilobytes.unwrap_or(0) * 1024);
            std::thread::sleep(Duration::from_millis(2));
        }
        (waiting.join().expect("the waiting thread does not panic").into(), peak)
    }
}

fn collect(root: &Path, folder: &Path, tree: &mut Tree) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("cannot list a folder").path();
        if path.is_dir() {
            collect(root, &path, tree);
        } else {
            let name = path.strip_prefix(root).expect("the path is below the root").to_string_lossy().into_owned();
            tree.insert(name, std::fs::read(&path).expect("cannot read a file"));
        }
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// The exit code and standard error, for snapshots.
    pub fn message(&self) -> String {
        format!("exit {}\n{}", self.code, self.stderr)
    }

    /// Asserts that the run succeeded.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- standard output\n{}\n--- standard error\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Polls a condition until it holds; returns whether it held before the timeout.
pub fn within(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < timeout {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    condition()
}
