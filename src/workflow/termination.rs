//! The termination message: one line about why a step failed, which Kubernetes and Argo show next to the pod.

use crate::error::Error;
use std::io::Write;
use std::path::Path;

/// The file that Kubernetes mounts into every container for this message.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Kubernetes truncates longer messages.
const MAX_BYTES: usize = 4096;

/// Writes why the program failed to [`TERMINATION_LOG`]. Outside of a pod, where that file does not exist, it does nothing.
pub(crate) fn report(error: &Error) {
    write_line(Path::new(TERMINATION_LOG), &error.line());
}

/// Writes one line into an existing file. Never creates the file and never fails: the program is about to exit with an
/// error of its own.
fn write_line(path: &Path, line: &str) {
    let Ok(mut file) = std::fs::OpenOptions::new().write(true).truncate(true).open(path) else { return };
    let line = &line[..line.floor_char_boundary(MAX_BYTES - 1)];
    let _ = writeln!(file, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_existing_file_gets_one_short_line_and_a_missing_one_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("termination-log");
        write_line(&path, "lost");
        assert!(!path.exists());

        std::fs::write(&path, "an older and much longer message").unwrap();
        write_line(&path, &Error::new(ErrorKind::Io, "two\nlines").at("place").line());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "place: two\\nlines\n");

        write_line(&path, &"é".repeat(5000));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() <= MAX_BYTES && text.trim_end().chars().all(|c| c == 'é'), "{}", text.len());
    }
}
