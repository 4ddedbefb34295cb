//! The modes of files and folders under the masks that engines set.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use test_support::program::{Sandbox, within};
use test_support::rows::{example_sandbox, mix_and};

/// The binary under a mask and, if this process may choose it, in a group.
fn command(sandbox: &Sandbox, mask: &str, group: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask $0 && exec \"$@\"", mask]).arg(test_support::binary()).args(arguments);
    command.current_dir(sandbox.path("")).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.gid(group);
    command
}

/// The modes of a folder and of what is below it: of all files, of all folders.
fn modes(folder: &Path) -> (Vec<u32>, Vec<u32>) {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let mut pending = vec![folder.to_path_buf()];
    while let Some(path) = pending.pop() {
        let metadata = path.metadata().expect("cannot read the metadata");
        let modes = if metadata.is_dir() { &mut folders } else { &mut files };
        modes.push(metadata.permissions().mode() & 0o7777);
        if metadata.is_dir() {
            pending.extend(path.read_dir().expect("cannot list").map(|entry| entry.expect("cannot list").path()));
        }
    }
    for modes in [&mut files, &mut folders] {
        modes.sort_unstable();
        modes.dedup();
    }
    (files, folders)
}

#[test]
fn files_are_never_writable_for_others_and_group_0_shares_them() {
    let is_root = rustix::process::geteuid().is_root();
    let own = rustix::process::getegid().as_raw();
    for (mask, group, file, folder) in [
        ("000", 12345, 0o664, 0o775),
        ("000", 0, 0o664, 0o775),
        ("002", 12345, 0o664, 0o775),
        ("022", 12345, 0o644, 0o755),
        ("022", 0, 0o664, 0o775),
        ("077", 0, 0o600, 0o700),
    ] {
        if !is_root && group != own {
            eprintln!("SKIPPED: umask {mask} in group {group}: not root");
            continue;
        }
        let sandbox = example_sandbox();
        let arguments = mix_and(&["--output", "deep/out", "--output-parameters", "parameters"]);
        let ran = command(&sandbox, mask, group, &arguments).output().expect("cannot start the binary");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        for made in ["deep", "parameters"] {
            assert_eq!(modes(&sandbox.path(made)), (vec![file], vec![folder]), "{made} with {mask} in group {group}");
        }
    }
}

#[test]
fn locks_and_staging_files_have_the_same_modes() {
    let sandbox = example_sandbox();
    // Counting takes long enough to look at the lock, and to kill the run.
    sandbox.write("slow.jinja", "{% for i in range(100000) %}{% endfor %}{{ messages[0].content }}");
    let row = std::fs::read(sandbox.path("step_02/key_facts_to_qa/gen.jsonl")).expect("cannot read the input");
    sandbox.write("step_02/key_facts_to_qa/more.jsonl", String::from_utf8(row).expect("valid UTF-8").repeat(200));
    let arguments = mix_and(&["--output", "out", "--chat-template", "slow.jinja"]);
    let group = rustix::process::getegid().as_raw();
    let mut child = command(&sandbox, "000", group, &arguments).spawn().expect("cannot start the binary");
    assert!(within(Duration::from_secs(60), || sandbox.path("out/.knowledge-mixing.lock").exists()));
    let found = modes(&sandbox.path("out"));
    child.kill().expect("cannot kill the run");
    child.wait().expect("cannot wait for the run");
    assert_eq!(found, (vec![0o664], vec![0o775]));
}
