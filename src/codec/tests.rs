use super::*;
use bytes::Bytes;
use std::io::{self, Read, Write};

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(content, 3).unwrap()
}

/// Pushes `input` in parts; returns the output and the largest piece of it.
fn transformed(mut transform: Transform, input: &[u8], part: usize) -> io::Result<(Vec<u8>, usize)> {
    let (mut output, mut largest) = (Vec::new(), 0);
    for part in input.chunks(part) {
        let mut part = Bytes::copy_from_slice(part);
        while !part.is_empty() {
            if let Some(piece) = transform.push(&mut part)? {
                largest = largest.max(piece.len());
                output.extend_from_slice(&piece);
            }
        }
    }
    let rest = transform.finish()?;
    largest = largest.max(rest.len());
    output.extend_from_slice(&rest);
    Ok((output, largest))
}

fn decoded(codec: Codec, stored: &[u8], part: usize) -> io::Result<Vec<u8>> {
    transformed(codec.decoder()?, stored, part).map(|(content, _)| content)
}

#[test]
fn extensions_name_the_codec_both_ways() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        assert_eq!(Codec::split_name(&codec.file_name("a.jsonl")), ("a.jsonl", codec));
    }
    assert_eq!(Codec::Zstd.file_name("a.jsonl"), "a.jsonl.zst");
    assert_eq!(Codec::split_name("gz"), ("gz", Codec::None));
}

#[test]
fn every_codec_restores_the_content() {
    let content = "knowledge ".repeat(1000).into_bytes();
    let members = [gzip(&content[..500]), gzip(&content[500..])].concat();
    let frames = [zstd(&content[..9]), zstd(&content[9..])].concat();
    for (codec, stored) in [(Codec::None, &content), (Codec::Gzip, &members), (Codec::Zstd, &frames)] {
        for part in [1, 7, stored.len()] {
            assert_eq!(decoded(codec, stored, part).unwrap(), content, "{codec:?} in parts of {part}");
        }
    }
}

#[test]
fn truncated_files_are_an_unexpected_end() {
    let content = "knowledge ".repeat(1000).into_bytes();
    for (codec, stored) in [(Codec::Gzip, gzip(&content)), (Codec::Zstd, zstd(&content))] {
        // A complete member or frame before the truncated one changes nothing.
        for before in [&[][..], &stored] {
            let start = usize::from(!before.is_empty());
            for end in start..stored.len() {
                let truncated = [before, &stored[..end]].concat();
                for part in [5, truncated.len().max(1)] {
                    let error = decoded(codec, &truncated, part).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{codec:?}, {end} bytes: {error}");
                }
            }
        }
    }
}

#[test]
fn zeros_behind_gzip_members_are_skipped() {
    let stored = [gzip(b"know"), vec![0; 700], gzip(b"ledge"), vec![0; 3]].concat();
    for part in [1, 5, 64, stored.len()] {
        assert_eq!(decoded(Codec::Gzip, &stored, part).unwrap(), b"knowledge", "in parts of {part}");
    }
    let padded_garbage = [gzip(b"know"), vec![0; 7], b"x".to_vec()].concat();
    assert!(decoded(Codec::Gzip, &padded_garbage, 3).is_err());
}

#[test]
fn a_zstandard_frame_with_a_huge_window_is_refused() {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.write_all(b"knowledge").unwrap();
    let stored = encoder.finish().unwrap();
    let error = decoded(Codec::Zstd, &stored, stored.len()).unwrap_err().to_string();
    assert!(error.contains("more than 128 MiB"), "{error}");
}

#[test]
fn damaged_files_are_not_reported_as_truncated() {
    let mut wrong_checksum = gzip(b"knowledge");
    let checksum = wrong_checksum.len() - 8;
    wrong_checksum[checksum] ^= 1;
    let cases = [
        (Codec::Gzip, wrong_checksum),
        (Codec::Gzip, b"{\"a\": 1}\n{\"a\": 2}\n".to_vec()),
        (Codec::Gzip, [gzip(b"knowledge"), b"{\"a\": 1}\n".repeat(2)].concat()),
        (Codec::Zstd, b"{\"a\": 1}\n".to_vec()),
        (Codec::Zstd, [zstd(b"knowledge"), b"{\"a\": 1}\n".to_vec()].concat()),
    ];
    for (codec, stored) in cases {
        for part in [3, stored.len()] {
            let error = decoded(codec, &stored, part).unwrap_err();
            assert_ne!(error.kind(), io::ErrorKind::UnexpectedEof, "{codec:?}: {error}");
        }
    }
}

#[test]
fn decoded_pieces_stay_small_whatever_the_ratio() {
    let content = vec![b' '; 24_000_000];
    for (codec, stored) in [(Codec::Gzip, gzip(&content)), (Codec::Zstd, zstd(&content))] {
        let (output, largest) = transformed(codec.decoder().unwrap(), &stored, stored.len()).unwrap();
        assert!(output == content, "{codec:?}");
        assert!(largest < 5 << 20, "{codec:?}: a piece of {largest} bytes");
    }
}

#[test]
fn encoded_bytes_do_not_depend_on_how_the_content_is_cut() {
    let content = "a row of a mix\n".repeat(100_000).into_bytes();
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let files: Vec<_> = [1000, 77_777, content.len()]
            .map(|part| transformed(codec.encoder().unwrap(), &content, part).unwrap().0)
            .into();
        assert!(files.iter().all(|file| *file == files[0]), "{codec:?}");
        let mut restored = Vec::new();
        match codec {
            Codec::None => restored.clone_from(&files[0]),
            Codec::Gzip => _ = flate2::read::GzDecoder::new(&files[0][..]).read_to_end(&mut restored).unwrap(),
            Codec::Zstd => restored = ::zstd::decode_all(&files[0][..]).unwrap(),
        }
        assert!(restored == content, "{codec:?}");
    }
}

/// A change of level or block size would change the bytes, and with them the digests, of every compressed mix.
#[test]
fn encoders_keep_their_level_and_block_size() {
    let content: Vec<u8> =
        (0..40_000u32).flat_map(|row| format!("{row} {}\n", row.wrapping_mul(2_654_435_761)).into_bytes()).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    let mut zstd = ::zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    for block in content.chunks(256 << 10) {
        gzip.write_all(block).unwrap();
        zstd.write_all(block).unwrap();
    }
    for (codec, expected) in [(Codec::Gzip, gzip.finish().unwrap()), (Codec::Zstd, zstd.finish().unwrap())] {
        let (file, _) = transformed(codec.encoder().unwrap(), &content, 10_000).unwrap();
        assert!(file == expected, "{codec:?}");
    }
}

#[test]
fn a_reader_gives_what_the_decoder_gives() {
    let content = b"a row of a mix\n".repeat(100_000);
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let mut encoder = codec.encoder().unwrap();
        let (mut input, mut stored) = (Bytes::from(content.clone()), Vec::new());
        while !input.is_empty() {
            stored.extend(encoder.push(&mut input).unwrap().unwrap_or_default());
        }
        stored.extend(encoder.finish().unwrap());
        let mut read = Vec::new();
        DecodingReader::new(codec, &stored[..]).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == content, "{codec:?}");
        let cut_short = DecodingReader::new(codec, &stored[..stored.len() - 1]).unwrap().read_to_end(&mut Vec::new());
        assert_eq!(cut_short.is_err(), codec != Codec::None, "{codec:?}");
    }
}
