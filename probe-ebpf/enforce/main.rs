#![no_std]
#![no_main]
//! Kernel programs of apisec-top that refuse: an object of its own, loaded when the first policy is applied.
//!
//! Whatever matches, a rule past its deadline refuses nothing ([`rule`]), and every refusal is counted
//! ([`effect`]). One file per hook: [`connect`].

mod connect;
mod effect;
mod rule;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
