//! The modes of everything that the program writes, locks and temporary files included.

use rustix::fs::Mode;
use rustix::process::{getegid, umask};

/// Sets the mask of the process. Called before any thread exists.
///
/// The executors of Argo and Kubeflow set a mask of 0, with which every file would be writable for everybody. OpenShift runs a
/// container as any user, always in group 0: the next step of a workflow may be another user, so that group has to write, too.
pub(super) fn set() {
    // There is no other way to read it.
    let inherited = umask(Mode::RWXU);
    umask(mask(inherited, getegid().is_root()));
}

/// The mask for an inherited one. What is closed to the group or to others stays closed.
fn mask(inherited: Mode, is_in_group_0: bool) -> Mode {
    match inherited.intersection(Mode::RWXG) {
        Mode::WGRP if is_in_group_0 => inherited.difference(Mode::WGRP) | Mode::WOTH,
        _ => inherited | Mode::WOTH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_writable_for_others_and_group_0_shares_files() {
        for (inherited, in_group_0, expected) in [
            (0o000, false, 0o002),
            (0o000, true, 0o002),
            (0o002, false, 0o002),
            (0o022, false, 0o022),
            (0o022, true, 0o002),
            (0o027, true, 0o007),
            (0o077, false, 0o077),
            (0o077, true, 0o077),
        ] {
            let mask = mask(Mode::from_raw_mode(inherited), in_group_0);
            assert_eq!(mask.as_raw_mode(), expected, "{inherited:o} {in_group_0}");
        }
    }
}
