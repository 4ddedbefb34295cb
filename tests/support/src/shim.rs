//! System calls that fail: a library that is loaded before the C library of the program. See `shim.c` for what it can do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The kinds of calls that can fail: those that change something below the folder.
pub const KINDS: [&str; 10] =
    ["open", "write", "sync", "close", "rename", "unlink", "mkdir", "lock", "truncate", "link"];

/// The error "input/output error".
pub const EIO: i32 = 5;

/// The error "no such file or directory".
pub const ENOENT: i32 = 2;

/// The error "no space left on device".
pub const ENOSPC: i32 = 28;

/// How often a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only the selected call.
    Once,
    /// The selected call and all later ones.
    Always,
    /// Only the selected `close`; the file loses the second half of its bytes, as if their write-back had failed.
    Lost,
    /// Only the selected `rename`, which has its effect nevertheless.
    Done,
}

/// The calls that fail.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub kind: &'static str,
    /// Which call of this kind, from 1.
    pub number: usize,
    pub errno: i32,
    pub mode: Mode,
}

/// A call of a program on a path or descriptor below the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub kind: String,
    /// The path below the folder.
    pub name: String,
    pub has_failed: bool,
}

/// The compiled library.
pub struct Shim {
    _folder: TempDir,
    library: PathBuf,
}

impl Shim {
    /// The library; `None` if there is no C compiler, or the binary under test is linked statically.
    ///
    /// # Panics
    /// In CI, where it must not be missing, or if the library does not compile.
    pub fn find() -> Option<&'static Self> {
        static SHIM: OnceLock<Option<Shim>> = OnceLock::new();
        let shim = SHIM.get_or_init(|| {
            let shim = Self::compile().filter(Self::sees_the_binary);
            assert!(
                shim.is_some() || std::env::var("CI").as_deref() != Ok("true"),
                "system calls cannot be made to fail"
            );
            shim
        });
        if shim.is_none() {
            eprintln!("SKIPPED: no C compiler `cc`, or the binary is linked statically");
        }
        shim.as_ref()
    }

    fn compile() -> Option<Self> {
        let folder = tempfile::tempdir().expect("cannot create a temporary folder");
        let library = folder.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shim.c");
        let mut command = Command::new("cc");
        command.args(["-Wall", "-Wextra", "-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        let compiled = command.status().ok()?;
        assert!(compiled.success(), "the shim does not compile");
        Some(Self { _folder: folder, library })
    }

    /// Whether the shim is loaded with the binary under test.
    fn sees_the_binary(&self) -> bool {
        let log = self.library.with_file_name("log");
        let mut command = Command::new(crate::binary());
        command.arg("--version").env("LD_PRELOAD", &self.library).env("SHIM_LOG", &log);
        command.output().is_ok_and(|ran| ran.status.success()) && log.is_file()
    }

    /// Loads the library with a program. It logs every call below `folder` (absolute and without links) into the file `log`, and
    /// makes those of `fault` fail.
    pub fn preload(&self, command: &mut Command, folder: &Path, log: &Path, fault: Option<Fault>) {
        command.env("LD_PRELOAD", &self.library).env("SHIM_FOLDER", folder).env("SHIM_LOG", log);
        if let Some(Fault { kind, number, errno, mode }) = fault {
            let mode = match mode {
                Mode::Once => "once",
                Mode::Always => "always",
                Mode::Lost => "lost",
                Mode::Done => "done",
            };
            command.env("SHIM_KIND", kind).env("SHIM_MODE", mode);
            command.env("SHIM_N", number.to_string()).env("SHIM_ERRNO", errno.to_string());
        }
    }
}

/// The calls in a log.
pub fn calls(log: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let call = |line: &str| {
        let (kind, name) = line.split_once(' ').expect("a kind and a name");
        let (name, has_failed) = name.strip_suffix(" failed").map_or((name, false), |name| (name, true));
        Call { kind: kind.to_owned(), name: name.to_owned(), has_failed }
    };
    text.lines().map(call).collect()
}
