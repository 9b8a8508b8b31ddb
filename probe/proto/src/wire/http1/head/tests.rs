use super::*;
use proptest::prelude::*;

fn read_all(role: Role, text: &str) -> Option<(Head, Vec<(String, String)>)> {
    let mut scan = Scan::default();
    assert_eq!(scan.end(text.as_bytes()), Some(text.len()), "{text:?}");
    let mut fields = Vec::new();
    let head = read(role, text.as_bytes(), &scan, &mut fields)?;
    let view = View { bytes: text.as_bytes(), fields: &fields };
    let mut seen = Vec::new();
    view.each(&mut |name, value| {
        seen.push((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned()));
    });
    Some((head, seen))
}

fn notes(fields: &str) -> Vec<&'static str> {
    let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    read_all(Role::Request, &text).unwrap().0.notes.names().collect()
}

#[test]
fn a_plain_head_has_no_notes() {
    let (head, fields) = read_all(Role::Request, "GET /a HTTP/1.1\r\nHost: h\r\nX-Y:  z \r\n\r\n").unwrap();
    assert_eq!(head.notes, Notes::default());
    assert_eq!(fields, [("Host".into(), "h".into()), ("X-Y".into(), "z".into())]);
}

#[test]
fn smuggling_shapes_are_noted() {
    assert_eq!(notes("Content-Length: 5\r\nContent-Length: 5\r\n"), ["bad-length"]);
    assert_eq!(notes("Content-Length: 5\r\nContent-Length: 6\r\n"), ["bad-length"]);
    for bad in ["+5", "0x5", "5 5", "", "-1", "5,6", "99999999999999999999"] {
        assert_eq!(notes(&format!("Content-Length: {bad}\r\n")), ["bad-length"], "{bad}");
    }
    assert_eq!(notes("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), ["length-and-chunked"]);
    for bad in
        ["xchunked", "chunked, identity", "chunked, chunked", "identity", "chunked;q=1", "\"chunked\"", ""]
    {
        assert_eq!(notes(&format!("Transfer-Encoding: {bad}\r\n")), ["bad-transfer-encoding"], "{bad}");
    }
    assert_eq!(notes("Transfer-Encoding: gzip, Chunked\r\n"), [""; 0]);
    assert_eq!(notes("Transfer-Encoding : chunked\r\n"), ["odd-whitespace"]);
    assert_eq!(notes("X: a\n"), ["odd-whitespace"]);
    assert_eq!(notes("X: a\rY: b\r\n"), ["odd-whitespace"]);
    assert_eq!(notes("X: a\r\n b\r\n"), ["obs-fold"]);
    assert_eq!(notes("Host: b\r\n"), ["bad-host"]);
    assert_eq!(notes("no colon here\r\n"), ["odd-whitespace"]);
}

#[test]
fn folded_and_spaced_fields_keep_their_values() {
    let text = "HTTP/1.1 200 OK\r\nX: a\r\n\t b\r\nTransfer-Encoding\t: chunked\r\n\r\n";
    let (head, fields) = read_all(Role::Response, text).unwrap();
    assert_eq!((head.status, head.coding), (200, Coding::Chunked));
    assert_eq!(fields[0], ("X".into(), "a\r\n\t b".into()));
}

#[test]
fn a_cut_head_gives_its_whole_lines() {
    let text = b"HTTP/1.1 503 Busy\r\nServer: x\r\nContent-Len";
    let mut scan = Scan::default();
    assert_eq!(scan.end(text), None);
    let mut fields = Vec::new();
    let head = read_cut(Role::Response, text, &scan, &mut fields).unwrap();
    assert_eq!((head.status, fields.len()), (503, 1));
    assert!(head.notes.any(Notes::HEAD_TRUNCATED));
    assert!(read_cut(Role::Response, b"HTTP/1.1 503 Bu", &scan, &mut fields).is_none());
}

#[test]
fn more_fields_than_the_cap_are_framed_all_the_same() {
    let many: String = (0..200).map(|i| format!("X-{i}: {i}\r\n")).collect();
    let (head, fields) =
        read_all(Role::Response, &format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 7\r\n\r\n")).unwrap();
    assert_eq!(head.length, Length::Known(7));
    assert_eq!(fields.len(), MAX_FIELDS);
    assert!(head.notes.any(Notes::HEAD_TRUNCATED));
}

proptest! {
    /// The end is found in the same place however the head is cut, and the oddities agree.
    #[test]
    fn the_end_does_not_depend_on_the_cuts(text in "[ab:\r\n]{0,40}", size in 1usize..7) {
        let bytes = text.as_bytes();
        let mut whole = Scan::default();
        let end = whole.end(bytes);
        let mut scan = Scan::default();
        let mut found = None;
        for (i, chunk) in bytes.chunks(size).enumerate() {
            if let Some(at) = scan.end(chunk) {
                found = Some(i * size + at);
                break;
            }
        }
        prop_assert_eq!(found, end);
        prop_assert_eq!(scan.odd, whole.odd);
        prop_assert_eq!(scan.first_line, whole.first_line);
    }

    /// The quick reader agrees with the one that collects, wherever it takes a head at all.
    #[test]
    fn both_readers_agree(text in "(GET / HTTP/1\\.1|HTTP/1\\.1 200 OK)[\r]?\n((A|Content-Length|Transfer-Encoding)(:| :)[ ]?(1|chunked|)[ ]?[\r]?\n){0,4}[\r]?\n") {
        let bytes = text.as_bytes();
        let role = if text.starts_with('G') { Role::Request } else { Role::Response };
        let (mut quick, mut slow) = (Vec::new(), Vec::new());
        let mut scan = Scan::default();
        let end = scan.end(bytes).unwrap();
        let head = read(role, &bytes[..end], &scan, &mut slow).unwrap();
        if let Some((taken, len)) = read_whole(role, bytes, &mut quick) {
            prop_assert_eq!(len, end);
            prop_assert_eq!(format!("{taken:?} {quick:?}"), format!("{head:?} {slow:?}"));
        }
    }

    #[test]
    fn arbitrary_heads_never_panic(text in "(GET / HTTP/1.1\r\n|HTTP/1.1 200 OK\r\n)?[ -~\r\n\t\\x00\\xff]{0,200}") {
        let bytes = text.as_bytes();
        let mut fields = Vec::new();
        for role in [Role::Request, Role::Response] {
            let mut scan = Scan::default();
            let end = scan.end(bytes).unwrap_or(bytes.len());
            let _ = read(role, &bytes[..end], &scan, &mut fields);
            let _ = read_cut(role, bytes, &scan, &mut fields);
            View { bytes, fields: &fields }.each(&mut |name, value| assert!(name.len() + value.len() <= bytes.len()));
        }
    }
}
