//! Outputs that cannot be written.

use crate::cli::{Cases, earlier_mix};
use insta::assert_snapshot;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount,
};
use std::path::PathBuf;
use test_support::program::Sandbox;
use test_support::rows::{example, example_sandbox, mix_and};

/// A mounted file system; dropping it unmounts it.
struct Mounted(PathBuf);

impl Mounted {
    /// A small file system in memory; `None` if this process may not mount. In CI that is an error.
    fn tmpfs(sandbox: &Sandbox, folder: &str, size: &str) -> Option<Self> {
        let path = sandbox.path(folder);
        std::fs::create_dir_all(&path).expect("cannot create a folder");
        let options = std::ffi::CString::new(format!("size={size}")).expect("the option has no NUL");
        Self::or_skipped(mount("tmpfs", &path, "tmpfs", MountFlags::empty(), options.as_c_str()), path)
    }

    /// A folder that is read-only even for root.
    fn read_only(sandbox: &Sandbox, folder: &str) -> Option<Self> {
        let path = sandbox.path(folder);
        std::fs::create_dir_all(&path).expect("cannot create a folder");
        let mounted = Self::or_skipped(mount_bind(&path, &path), path.clone())?;
        mount_change(&path, MountPropagationFlags::PRIVATE).expect("cannot make the mount private");
        mount_remount(&path, MountFlags::BIND | MountFlags::RDONLY, c"").expect("cannot remount read-only");
        Some(mounted)
    }

    fn or_skipped(mounted: rustix::io::Result<()>, path: PathBuf) -> Option<Self> {
        match mounted {
            Ok(()) => Some(Self(path)),
            Err(error) if std::env::var_os("CI").is_some() => panic!("this test must mount a file system: {error}"),
            Err(error) => {
                eprintln!("SKIPPED: cannot mount: {error} (run as root)");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    let sandbox = example_sandbox();
    let mut cases = Cases::default();
    let mut case = |name: &str, output: &str, code: i32| {
        let ran = sandbox.run(&mix_and(&["--output", output]));
        assert_eq!(ran.code, code, "{name}: {ran}");
        cases.add(name, &ran.message());
    };
    sandbox.write("file", "not a folder");
    case("a file", "file", 74);
    case("below a file", "file/out", 74);
    if let Some(_mounted) = Mounted::read_only(&sandbox, "sealed") {
        case("below a read-only folder", "sealed/out", 74);
        case("a read-only folder", "sealed", 74);
    }
    case("the input", "step_02", 2);
    case("inside the input", "step_02/out", 2);
    case("inside a source", "step_02/key_facts_to_qa", 2);
    case("inside the input, with `..`", "step_02/../step_02/./out", 2);
    std::os::unix::fs::symlink(sandbox.path("step_02"), sandbox.path("link")).expect("cannot create a link");
    case("inside the input, through a link", "link/out", 2);
    let (file, url) = (sandbox.path("step_02/key_facts_to_qa"), format!("file://{}", sandbox.path("").display()));
    let given = format!("key_facts_to_qa={}", file.display());
    for output in [".", "step_02/..", "link/..", &url] {
        let ran = sandbox.run(&mix_and(&["--source-input", &given, "--output", output]));
        assert_eq!(ran.code, 2, "{output}: {ran}");
    }
    case("around the input", ".", 2);
    assert_eq!(sandbox.read("file"), b"not a folder");
    assert!(sandbox.tree("step_02") == example());
    // A folder whose name begins with the name of the input is a different folder.
    assert_eq!(sandbox.run(&mix_and(&["--output", "step_02b"])).code, 0);
    assert_snapshot!(sandbox.anonymous(&cases.0));
}

#[test]
fn a_folder_with_the_name_of_a_mix_is_an_error() {
    let sandbox = example_sandbox();
    sandbox.write("out/combined_cut_2x.jsonl/a", "a folder");
    let ran = sandbox.run(&mix_and(&[]));
    assert_eq!(ran.code, 2, "{ran}");
    assert_eq!(sandbox.tree("out").len(), 1);
    assert_snapshot!(ran.message());
}

#[test]
fn a_folder_with_the_name_of_the_manifest_is_an_error() {
    let sandbox = example_sandbox();
    sandbox.write("out/manifest.json/a", "a folder");
    let ran = sandbox.run(&mix_and(&[]));
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.message().contains("out/manifest.json: the output has a folder of this name"), "{ran}");
    assert_eq!(sandbox.tree("out").len(), 1);
}

/// A pipe of this name is no file to pass over: it may be how somebody hands over secrets.
#[test]
fn a_pipe_as_env_file_is_an_error() {
    let sandbox = example_sandbox();
    assert!(std::process::Command::new("mkfifo").arg(sandbox.path(".env")).status().unwrap().success());
    let ran = sandbox.run(&mix_and(&[]));
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.message().contains(".env: not a regular file"), "{ran}");
}

#[test]
fn a_full_disk_leaves_the_earlier_mix_intact() {
    let sandbox = example_sandbox();
    let Some(_mounted) = Mounted::tmpfs(&sandbox, "disk", "256k") else { return };
    let big: usize = earlier_mix().values().map(Vec::len).sum();
    assert!(big < 200_000, "{big}");
    sandbox.write_tree("disk/out", earlier_mix());
    // The mix is larger than the disk.
    let rows: String = (0..300)
        .map(|at| test_support::rows::summary_row(at, 0, 0).to_string().replace("dusk", &"dusk ".repeat(300)) + "\n")
        .collect();
    sandbox.write("large/extractive_summary/gen.jsonl", &rows);
    for (name, free) in [("full at the start", false), ("full during the run", true)] {
        if !free {
            let filling = vec![0u8; 1 << 20];
            let _ = std::fs::write(sandbox.path("disk/filling"), filling);
        } else {
            std::fs::remove_file(sandbox.path("disk/filling")).expect("cannot remove the file");
        }
        let ran = sandbox.run(&[
            "mix",
            "--input",
            "large",
            "--output",
            "disk/out",
            "--tokenizer-model",
            "builtin",
            "--cut-sizes",
            "1",
        ]);
        assert_eq!(ran.code, 74, "{name}: {ran}");
        assert!(sandbox.tree("disk/out") == *earlier_mix(), "{name}: {:?}", sandbox.tree("disk/out").keys());
        assert!(ran.stderr.to_lowercase().contains("no space left"), "{name}: {ran}");
    }
    // The failed runs removed their files, so the small mix still fits.
    assert_eq!(
        sandbox
            .run(&[
                "mix",
                "--input",
                "step_02",
                "--output",
                "disk/out",
                "--tokenizer-model",
                "builtin",
                "--cut-sizes",
                "2"
            ])
            .code,
        0
    );
}

#[test]
fn output_parameters_that_cannot_be_written() {
    let sandbox = example_sandbox();
    sandbox.write("file", "not a folder");
    let ran = sandbox.run(&mix_and(&["--output-parameters", "file/parameters"]));
    assert_eq!(ran.code, 74, "{ran}");
    assert_snapshot!(ran.message());
}

#[test]
fn a_closed_standard_output_is_not_an_error() {
    let sandbox = example_sandbox();
    let mut child =
        sandbox.command(&mix_and(&[])).stdout(std::process::Stdio::piped()).spawn().expect("cannot start the binary");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("cannot wait for the binary").code(), Some(0));
}
