//! The termination message: one line of why a step failed, which Kubernetes and Argo show beside the pod.

use crate::error::Error;
use std::io::Write;
use std::path::Path;

/// Where Kubernetes mounts the message's file, in every container.
pub(crate) const TERMINATION_LOG: &str = "/dev/termination-log";

/// Kubernetes keeps no more than this of a message.
const MOST: usize = 4096;

/// Writes why the program failed to [`TERMINATION_LOG`]; where there is none (outside of a pod), nothing happens.
pub(crate) fn report(error: &Error) {
    write_line(Path::new(TERMINATION_LOG), &error.line());
}

/// Writes one line into a file that is there; never makes one, and never fails: this is the last thing a failing program
/// does, and there is nobody left to tell.
pub(crate) fn write_line(path: &Path, line: &str) {
    let Ok(mut file) = std::fs::OpenOptions::new().write(true).truncate(true).open(path) else { return };
    let line = line.replace(['\n', '\r'], " ");
    let mut end = line.len().min(MOST - 1);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let _ = writeln!(file, "{}", &line[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_file_that_is_there_gets_one_short_line_and_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("termination-log");
        write_line(&path, "lost");
        assert!(!path.exists());

        std::fs::write(&path, "an older and much longer message").unwrap();
        write_line(&path, &Error::new(ErrorKind::Io, "two\nlines").at("place").line());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "place: two lines\n");

        write_line(&path, &"é".repeat(5000));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() <= MOST && text.trim_end().chars().all(|c| c == 'é'), "{}", text.len());
    }
}
