//! The real binary in a folder of its own, with an environment of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A working folder that goes away with its test. Paths in arguments are relative to it, so that messages are the same
/// on every machine.
pub struct Sandbox {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// All files below a folder, hidden ones included.
pub type Tree = BTreeMap<String, Vec<u8>>;

impl Sandbox {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file, its folders included.
    pub fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, bytes).expect("a file");
    }

    pub fn write_tree(&self, relative: &str, tree: &Tree) {
        for (name, bytes) in tree {
            self.write(&format!("{relative}/{name}"), bytes);
        }
    }

    pub fn read(&self, relative: &str) -> Vec<u8> {
        std::fs::read(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    pub fn read_text(&self, relative: &str) -> String {
        String::from_utf8(self.read(relative)).expect("text")
    }

    /// A text without the name that this folder has by chance.
    pub fn anonymous(&self, text: &str) -> String {
        let resolved = self.folder.path().canonicalize().expect("the folder");
        let names = [self.folder.path(), &resolved].map(|path| path.to_string_lossy().into_owned());
        names.iter().fold(text.to_owned(), |text, name| text.replace(name, "[folder]"))
    }

    pub fn tree(&self, relative: &str) -> Tree {
        let mut tree = Tree::new();
        let root = self.path(relative);
        collect(&root, &root, &mut tree);
        tree
    }

    /// The binary with nothing of this process's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_knowledge-mixing"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        // Where a test binary is measured for coverage, the program is to report, too.
        if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        command.output().expect("the binary").into()
    }

    /// Runs to the end and looks at the largest resident memory on the way, in bytes.
    pub fn run_measured(&self, arguments: &[&str]) -> (Ran, u64) {
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
        let status = format!("/proc/{}/status", child.id());
        let waiting = std::thread::spawn(move || child.wait_with_output().expect("the binary"));
        let mut peak = 0;
        while !waiting.is_finished() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let kilobytes =
                text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
            peak = peak.max(kilobytes.unwrap_or(0) * 1024);
            std::thread::sleep(Duration::from_millis(2));
        }
        (waiting.join().expect("the binary").into(), peak)
    }
}

fn collect(root: &Path, folder: &Path, tree: &mut Tree) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, tree);
        } else {
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            tree.insert(name, std::fs::read(&path).expect("a file"));
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
    /// Exit code and standard error, as a snapshot holds them.
    pub fn message(&self) -> String {
        format!("exit {}\n{}", self.code, self.stderr)
    }

    /// The run, which is to have succeeded.
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

/// Whether something came true within a time.
pub fn within(time: Duration, mut true_yet: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < time {
        if true_yet() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true_yet()
}
