#![no_std]
#![no_main]
//! Kernel programs of apisec-top that refuse: an object of its own, loaded when the first policy is applied.
//!
//! Whatever matches, a rule past its deadline refuses nothing ([`rule`]), and every refusal is counted
//! ([`effect`]). Connections are refused in [`connect`], requests in [`request`], with [`service`], [`packet`],
//! [`begin`], [`head`], [`chunk`], [`target`], [`judge`] and [`answer`] as its parts; [`handover`] takes open sockets and gives them back. What reads requests needs Linux 5.17 (`bpf_loop`).

mod answer;
mod begin;
mod chunk;
mod connect;
mod effect;
mod handover;
mod head;
mod judge;
mod packet;
mod request;
mod rule;
mod service;
mod target;
mod work;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
