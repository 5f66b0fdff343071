use proptest::prelude::*;

use super::*;

/// The payload of `raw` cut into pieces of `step`, and how much of `raw` was used; both ways of reading must agree.
fn decoded(body: Body, raw: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), BadBody> {
    let by_pieces = pieces(body, raw, step);
    let compacted = compacted(body, raw, step);
    assert_eq!(by_pieces, compacted, "pieces and compact differ on {}", raw.escape_ascii());
    by_pieces
}

fn pieces(body: Body, raw: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), BadBody> {
    let mut reader = BodyReader::new(body);
    let (mut payload, mut used) = (Vec::new(), 0);
    for part in raw.chunks(step) {
        let mut rest = part;
        while let Some(piece) = reader.next(&mut rest)? {
            payload.extend_from_slice(piece);
        }
        used += part.len() - rest.len();
    }
    Ok((payload, used, reader.is_done()))
}

fn compacted(body: Body, raw: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), BadBody> {
    let mut reader = BodyReader::new(body);
    let (mut payload, mut used) = (Vec::new(), 0);
    for part in raw.chunks(step) {
        let mut buffer = part.to_vec();
        let got = reader.compact(&mut buffer)?;
        payload.extend_from_slice(&buffer[..got.payload]);
        used += got.used;
    }
    Ok((payload, used, reader.is_done()))
}

/// Reads the grammar as it is written, all at once, for well formed bodies without limits.
fn naive(mut raw: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    loop {
        let end = raw.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(&raw[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        raw = &raw[end + 2..];
        if size == 0 {
            return Some(payload);
        }
        payload.extend_from_slice(raw.get(..size)?);
        raw = raw.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[test]
fn chunks_are_joined_and_the_next_request_is_left() {
    let raw = b"5\r\nfresh\r\n0017;x=y\r\n content number 087700\r\r\n0\r\nX: y\r\nZ:\r\n\r\nGET /";
    for step in [1, 2, 3, 7, raw.len()] {
        let (payload, used, done) = decoded(Body::Chunked, raw, step).expect("the chunks are right");
        assert_eq!((payload.as_slice(), done), (&b"fresh content number 087700\r"[..], true));
        assert_eq!(&raw[used..], b"GET /");
    }
}

#[test]
fn a_counted_body_ends_at_its_length() {
    for step in [1, 4, 9] {
        let read = decoded(Body::Length(5), b"hello rest", step).expect("nothing can be wrong");
        assert_eq!(read, (b"hello".to_vec(), 5, true));
    }
    assert_eq!(decoded(Body::Length(5), b"hell", 9), Ok((b"hell".to_vec(), 4, false)));
    for none in [Body::None, Body::Length(0)] {
        assert_eq!(decoded(none, b"GET /", 9), Ok((Vec::new(), 0, true)));
    }
}

#[test]
fn malformed_chunks_are_refused() {
    for raw in [
        &b"\r\n"[..],
        b";x\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1\n",
        b"1\rx",
        b"1;x\n",
        b"1;x\0",
        b"1\r\nabc",
        b"1\r\na\n",
        b"1\r\na\rx",
        b"10000000000000000\r\n",
        b"00000000000000001\r\n",
        b"0\r\n\n",
        b"0\r\nX: y\n",
        b"0\r\n\rx",
    ] {
        for step in [1, 64] {
            assert!(decoded(Body::Chunked, raw, step).is_err(), "{} by {step}", raw.escape_ascii());
        }
    }
    let largest = decoded(Body::Chunked, b"ffffffffffffffff\r\nabc", 64).expect("16 digits fit");
    assert_eq!(largest, (b"abc".to_vec(), 21, false));
}

#[test]
fn extensions_and_trailers_are_limited() {
    let extension = |length: usize| [b"0;", vec![b'x'; length].as_slice(), b"\r\n\r\n"].concat();
    assert!(decoded(Body::Chunked, &extension(LONGEST_EXTENSION), 64).is_ok());
    assert!(decoded(Body::Chunked, &extension(LONGEST_EXTENSION + 1), 64).is_err());
    let trailer = |length: usize| [b"0\r\n", vec![b'x'; length].as_slice(), b"\r\n\r\n"].concat();
    assert!(decoded(Body::Chunked, &trailer(LONGEST_TRAILER), 64).is_ok());
    assert!(decoded(Body::Chunked, &trailer(LONGEST_TRAILER + 1), 64).is_err());
    let many = [b"1;", [b'x'; 200].as_slice(), b"\r\na\r\n"].concat().repeat(MOST_EXTENSIONS / 200 + 1);
    assert!(decoded(Body::Chunked, &many, 64).is_err());
}

#[test]
fn payload_may_go_by_unseen() {
    let mut reader = BodyReader::new(Body::Chunked);
    let mut rest = &b"100000000\r\n"[..];
    assert_eq!((reader.payload_ahead(), reader.next(&mut rest)), (0, Ok(None)));
    assert_eq!(reader.payload_ahead(), 1 << 32);
    reader.passed(1 << 31);
    reader.passed(1 << 31);
    assert_eq!(reader.payload_ahead(), 0);
    let mut rest = &b"\r\n0\r\n\r\n"[..];
    assert_eq!((reader.next(&mut rest), reader.is_done()), (Ok(None), true));

    let mut counted = BodyReader::new(Body::Length(10));
    counted.passed(0);
    counted.passed(10);
    assert!(counted.is_done());
}

#[test]
fn what_is_encoded_can_be_decoded() {
    let mut out = Vec::new();
    for piece in [&b"a"[..], &[b'b'; 300]] {
        begin_chunk(piece.len(), &mut out);
        out.extend_from_slice(piece);
        out.extend_from_slice(CHUNK_END);
    }
    out.extend_from_slice(LAST_CHUNK);
    let expected = [b"a", [b'b'; 300].as_slice()].concat();
    assert_eq!(decoded(Body::Chunked, &out, 11), Ok((expected, out.len(), true)));
}

proptest! {
    #[test]
    fn any_split_of_any_chunks_gives_what_the_grammar_says(
        chunks in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 1..40), "(;[a-z]{0,5})?"), 0..6),
        step in 1usize..50,
    ) {
        let mut raw = Vec::new();
        for (chunk, extension) in &chunks {
            raw.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
            raw.extend_from_slice(chunk);
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"0\r\n\r\n");
        let read = decoded(Body::Chunked, &raw, step).expect("the chunks are right");
        let by_grammar = naive(&raw);
        prop_assert_eq!(Some(&read.0), by_grammar.as_ref());
        prop_assert_eq!((read.1, read.2), (raw.len(), true));
    }

    #[test]
    fn nonsense_reads_the_same_however_it_is_cut(
        raw in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"0123af;\r\n".to_vec())], 0..80),
        step in 1usize..20,
    ) {
        let whole = decoded(Body::Chunked, &raw, raw.len().max(1));
        let cut = decoded(Body::Chunked, &raw, step);
        prop_assert_eq!(whole, cut);
    }
}
