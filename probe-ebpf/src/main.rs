#![no_std]
#![no_main]
//! Kernel programs of apisec-top. UAPI contexts only: no CO-RE, nothing newer than 5.10 is required.
//!
//! One file per hook ([`capture`], [`handshake`], [`connect`], [`process`], [`tls`]) and the few things they share.

mod capture;
mod classify;
mod connect;
mod counters;
mod events;
mod handshake;
mod http2;
mod packet;
mod pipelining;
mod process;
mod quic;
mod record;
mod ring;
mod samples;
mod socket;
mod tls;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
