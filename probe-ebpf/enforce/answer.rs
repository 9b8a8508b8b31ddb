//! The answer to a refused request, written over the request itself and sent back. It is exactly as long as that
//! was: kernels from 6.1 to 6.18 lose count otherwise. What is to spare is blanks behind the reason, or a body.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_loop, bpf_skb_store_bytes},
};

const BARE: &[u8; 13] = b"HTTP/1.1 403 ";
const BARE_END: &[u8; 22] = b"\r\nContent-Length:0\r\n\r\n";
const FULL: &[u8; 22] = b"HTTP/1.1 403 Forbidden";
/// Behind it ten digits, and the end.
const LENGTH: &[u8; 18] = b"\r\nContent-Length: ";
const POLICY: &[u8; 19] = b"\r\nX-Apisec-Policy: ";
const END: &[u8; 4] = b"\r\n\r\n";
const DIGITS: u32 = 10;
/// Bytes of a full answer without what is to spare.
const FULL_LENGTH: u32 = 22 + 18 + DIGITS + 19 + DIGITS + 4;
const BARE_LENGTH: u32 = 13 + 22;
/// Up to here the spare bytes are blanks in the first line, which every client reads.
const MAX_BLANKS: u32 = 512;
const BLANKS: [u8; 64] = [b' '; 64];
/// Blocks of blanks in the longest answer.
const MAX_BLOCKS: u32 = 512;

/// Whether there is an answer of this length.
#[inline(always)]
pub fn fits(length: u32) -> bool {
    length >= BARE_LENGTH && length <= MAX_BLOCKS * 64
}

/// Writes the answer; whether it is there.
#[inline(always)]
pub fn answer(skb: *mut __sk_buff, offset: u32, length: u32, policy: u32, head: bool) -> bool {
    if !fits(length) {
        return false;
    }
    let mut blank = Blank { skb, at: offset, end: offset + length, left: 0, pad: 0 };
    // SAFETY: the callback has the signature that the helper asks for.
    unsafe {
        bpf_loop(MAX_BLOCKS, blank_step as *mut _, (&raw mut blank).cast(), 0);
    }
    if blank.at != offset + length {
        return false;
    }
    if length < FULL_LENGTH {
        return put(skb, offset, BARE) && put(skb, offset + length - 22, BARE_END);
    }
    let spare = length - FULL_LENGTH;
    let (blanks, body) = if head || spare <= MAX_BLANKS { (spare, 0) } else { (0, spare) };
    let at = offset + 22 + blanks;
    put(skb, offset, FULL)
        && put(skb, at, LENGTH)
        && put(skb, at + 18, &decimal(body))
        && put(skb, at + 28, POLICY)
        && put(skb, at + 47, &decimal(policy))
        && put(skb, at + 57, END)
}

#[repr(C)]
struct Blank {
    skb: *mut __sk_buff,
    at: u32,
    end: u32,
    left: u32,
    pad: u32,
}

unsafe extern "C" fn blank_step(_index: u32, blank: *mut Blank) -> u64 {
    // SAFETY: the context of `answer`.
    let blank = unsafe { &mut *blank };
    blank.left = blank.end.wrapping_sub(blank.at);
    // Read back, so that the bounds below stay in the program, for the verifier.
    // SAFETY: it has just been written.
    let left = unsafe { core::ptr::read_volatile(&raw const blank.left) };
    if left == 0 || left > 1 << 20 {
        return 1;
    }
    let length = if left < 64 { left } else { 64 };
    // SAFETY: the block is as long as the longest length.
    if unsafe { bpf_skb_store_bytes(blank.skb, blank.at, BLANKS.as_ptr().cast(), length, 0) } != 0 {
        return 1;
    }
    blank.at += length;
    0
}

#[inline(always)]
fn put<const N: usize>(skb: *mut __sk_buff, at: u32, bytes: &[u8; N]) -> bool {
    // SAFETY: the bytes are as long as we say.
    unsafe { bpf_skb_store_bytes(skb, at, bytes.as_ptr().cast(), N as u32, 0) == 0 }
}

/// A number with leading zeros.
#[inline(always)]
fn decimal(number: u32) -> [u8; DIGITS as usize] {
    let mut digits = [b'0'; DIGITS as usize];
    let (mut rest, mut at) = (number, DIGITS as usize);
    while at > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}
