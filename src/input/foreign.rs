//! Recognizes what is not a file of rows, by its first bytes or by its name, and says what to do about it.

/// Number of bytes from the start of a file that show what it is.
pub(super) const START: usize = 64;

/// What a file is instead of one with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Foreign {
    /// What it is, to follow "the file is".
    pub(super) what: &'static str,
    /// What to do about it, as an imperative.
    pub(super) advice: &'static str,
}

const BZIP2: Foreign =
    Foreign { what: "compressed with bzip2, which is not read", advice: "decompress it: `bunzip2 FILE`" };
const XZ: Foreign = Foreign { what: "compressed with xz, which is not read", advice: "decompress it: `unxz FILE`" };
const LZ4: Foreign = Foreign { what: "compressed with lz4, which is not read", advice: "decompress it: `unlz4 FILE`" };
const ZIP: Foreign = Foreign { what: "a zip archive, which is not read", advice: "unpack it: `unzip FILE`" };
const TAR: Foreign = Foreign { what: "a tar archive, which is not read", advice: "unpack it: `tar -xf FILE`" };
const SEVEN_ZIP: Foreign = Foreign { what: "a 7z archive, which is not read", advice: "unpack it: `7z x FILE`" };
const ARROW: Foreign = Foreign {
    what: "an Arrow file, which is not read",
    advice: "convert the folder: `python -c \"import datasets; datasets.load_from_disk('FOLDER').to_json('gen.jsonl')\"`",
};
const CSV: Foreign = Foreign {
    what: "CSV, which is not read",
    advice: "convert it: `python -c \"import pandas; pandas.read_csv('FILE').to_json('gen.jsonl', orient='records', lines=True)\"`",
};
const HTML: Foreign = Foreign {
    what: "an HTML or XML page, not rows",
    advice: "download it again: a server sent a page, often a login or an error, instead of the file",
};
const GIT_LFS: Foreign = Foreign {
    what: "a pointer of Git LFS, not the file itself",
    advice: "fetch the file: `git lfs pull` in the repository it is from",
};
const UTF_16: Foreign = Foreign {
    what: "text in UTF-16 or UTF-32, and UTF-8 is expected",
    advice: "convert it: `iconv -f UTF-16 -t UTF-8 FILE > gen.jsonl`",
};

/// The bytes that files of other formats begin with.
const MAGIC: [(&[u8], Foreign); 9] = [
    (b"\xfd7zXZ\0", XZ),
    (b"\x04\x22\x4d\x18", LZ4),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"7z\xbc\xaf\x27\x1c", SEVEN_ZIP),
    (b"ARROW1\0\0", ARROW),
    (b"\xff\xff\xff\xff", ARROW),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
];

/// The files that `datasets` writes beside those of a dataset in Arrow files.
const ARROW_METADATA: [&str; 4] = ["dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"];

/// What a file is by its first bytes, [`START`] of them, fewer only if it has no more. `None`: what its name says, as far as these show.
pub(super) fn of_content(start: &[u8]) -> Option<Foreign> {
    if let Some((_, foreign)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(*foreign);
    }
    match start {
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => return Some(BZIP2),
        [0, b'{' | b'[', ..] | [0, 0, 0, b'{' | b'[', ..] | [b'{' | b'[', 0, ..] => return Some(UTF_16),
        _ => {}
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let begins = |with: &[u8]| text.get(..with.len()).is_some_and(|text| text.eq_ignore_ascii_case(with));
    if [&b"<!doctype html"[..], b"<html", b"<?xml", b"<error>"].into_iter().any(begins) {
        return Some(HTML);
    }
    begins(b"version https://git-lfs.github.com/").then_some(GIT_LFS)
}

/// What a file is by its name, if that is none of a file with rows but a known one.
pub(super) fn of_name(name: &str) -> Option<Foreign> {
    let name = name.to_ascii_lowercase();
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(CSV),
        "bz2" => Some(BZIP2),
        "xz" => Some(XZ),
        "lz4" => Some(LZ4),
        "zip" => Some(ZIP),
        "7z" => Some(SEVEN_ZIP),
        "tar" | "tgz" => Some(TAR),
        "arrow" => Some(ARROW),
        _ => None,
    }
}

/// Whether a file of this name, beside Arrow files, describes them and holds no rows.
pub(super) fn is_arrow_metadata(name: &str) -> bool {
    ARROW_METADATA.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_rows_is_recognized_by_its_first_bytes() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let cases: [(&[u8], Foreign); 10] = [
            (b"BZh91AY&SY", BZIP2),
            (b"\xfd7zXZ\0\0\x04", XZ),
            (b"PK\x03\x04\x14\0", ZIP),
            (b"ARROW1\0\0\xff\xff", ARROW),
            (&utf16("\u{feff}{\"a\": 1}"), UTF_16),
            (&utf16("{\"a\": 1}"), UTF_16),
            (b"\0{\0\"", UTF_16),
            (b"\n<!DOCTYPE HTML><p>", HTML),
            (b"<Error><Code>AccessDenied</Code>", HTML),
            (b"version https://git-lfs.github.com/spec/v1\noid", GIT_LFS),
        ];
        for (start, foreign) in cases {
            assert_eq!(of_content(start), Some(foreign), "{}", String::from_utf8_lossy(start));
        }
        for rows in
            [&b"{\"a\": 1}"[..], b"", b"\xef\xbb\xbf {}", b"[{}]", b"<a>", b"BZh", b"\x1f\x8b\x08", b"PAR1", b"{"]
        {
            assert_eq!(of_content(rows), None, "{}", String::from_utf8_lossy(rows));
        }
    }

    #[test]
    fn what_is_not_read_is_recognized_by_its_name() {
        assert_eq!(of_name("gen.CSV"), Some(CSV));
        assert_eq!(of_name("gen.jsonl.bz2"), Some(BZIP2));
        assert_eq!(of_name("README.md"), None);
    }
}
