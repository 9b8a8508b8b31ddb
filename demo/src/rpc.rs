//! Messages of gRPC as far as the shop needs them: one text each way, in a frame of its own (length-prefixed, not compressed).

use axum::http::HeaderValue;

/// What says that it is gRPC.
pub(crate) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// Protobuf's key of field 1, bytes.
const FIRST_FIELD: u8 = 0x0a;

/// The frame of a message whose first field is `text`, of which 127 bytes fit.
pub(crate) fn message(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    let text = text.get(..text.len().min(127)).unwrap_or_default();
    let length = text.len() as u8;
    // Not compressed, five bytes of head, then the field.
    let mut frame = vec![0, 0, 0, 0, length + 2, FIRST_FIELD, length];
    frame.extend_from_slice(text);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_long_it_is() {
        assert_eq!(message("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(message(&"x".repeat(300)).len(), 5 + 2 + 127);
    }
}
