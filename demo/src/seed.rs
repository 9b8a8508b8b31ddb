//! What the shop is born with: customers, products and orders as functions of a number, so that servers,
//! customers and attackers agree on them without sharing memory.

use crate::random::mix;

/// First customer number; it belongs to the administrator.
pub(crate) const FIRST_USER: u64 = 1001;
/// First number of accounts that are opened while the shop runs.
pub(crate) const FIRST_NEWCOMER: u64 = 5001;
/// How many accounts there are.
pub(crate) const USERS: u64 = 40;
/// The administrator's account.
pub(crate) const ADMIN: u64 = FIRST_USER;
/// The account with by far the most orders.
pub(crate) const WHOLESALER: u64 = FIRST_USER + 1;
/// How many products are on sale.
pub(crate) const PRODUCTS: u64 = 120;
/// Number of the oldest order.
pub(crate) const FIRST_ORDER: u64 = 50_000;
/// How many orders were placed before the shop started.
pub(crate) const ORDERS: u64 = 400;

const NAMES: [&str; 8] = ["ada", "grace", "alan", "edsger", "barbara", "donald", "radia", "ken"];
/// Product categories and the prefixes of their article numbers.
const CATEGORIES: [(&str, &str); 5] =
    [("books", "BK"), ("games", "GM"), ("garden", "GD"), ("kitchen", "KT"), ("music", "MU")];
const ADJECTIVES: [&str; 6] = ["plain", "golden", "tiny", "quiet", "northern", "second"];
const NOUNS: [&str; 6] = ["lamp", "atlas", "kettle", "puzzle", "spade", "record"];
/// Crockford's base 32, the alphabet of ULIDs.
const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Every account number.
pub(crate) fn users() -> std::ops::Range<u64> {
    FIRST_USER..FIRST_USER + USERS
}

/// Given name of an account's owner.
pub(crate) fn name(user: u64) -> &'static str {
    pick(&NAMES, user).copied().unwrap_or("ada")
}

/// E-mail address of an account.
pub(crate) fn email(user: u64) -> String {
    format!("{}.{user}@shop.example", name(user))
}

/// Password of an account.
pub(crate) fn password(user: u64) -> String {
    format!("pw-{:06x}", mix(user) & 0xff_ffff)
}

/// The account's second name, used by the address book.
pub(crate) fn user_uuid(user: u64) -> String {
    let bits = (u128::from(mix(user ^ 0xa11ce)) << 64) | u128::from(mix(user ^ 0xb0b));
    // Version 4, variant 1 (RFC 9562 §5.4).
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part).unwrap_or_default()).join("-")
}

/// Category of the `n`th product.
pub(crate) fn category(n: u64) -> &'static str {
    pick(&CATEGORIES, n).map_or("books", |(category, _)| category)
}

/// Article number of the `n`th product.
pub(crate) fn sku(n: u64) -> String {
    let prefix = pick(&CATEGORIES, n).map_or("BK", |(_, prefix)| prefix);
    format!("{prefix}-{}", 10_000 + n)
}

/// Title of the `n`th product.
pub(crate) fn title(n: u64) -> String {
    let adjective = pick(&ADJECTIVES, mix(n)).copied().unwrap_or("plain");
    let noun = pick(&NOUNS, mix(n ^ 0xbeef)).copied().unwrap_or("lamp");
    format!("{adjective} {noun}")
}

/// Price of the `n`th product, in cents.
pub(crate) fn price(n: u64) -> u64 {
    199 + mix(n ^ 0xca5) % 9_800
}

/// What a voucher is worth in cents; one in nine codes is one.
pub(crate) fn voucher(code: &str) -> Option<u64> {
    let number: u64 = code.strip_prefix("SAVE-")?.parse().ok()?;
    mix(number).is_multiple_of(9).then_some(500)
}

/// Who placed an order that is older than the shop: every third one the wholesaler.
pub(crate) fn order_owner(order: u64) -> u64 {
    let draw = mix(order);
    if draw.is_multiple_of(3) { WHOLESALER } else { FIRST_USER + (draw >> 8) % USERS }
}

/// A 26-character identifier that sorts by `counter` (same alphabet and length as a ULID, made-up time).
pub(crate) fn ulid(counter: u64) -> String {
    let bits = (0x018f_u128 << 112) | (u128::from(counter) << 64) | u128::from(mix(counter));
    (0..26).rev().map(|digit| char::from(base32(bits >> (5 * digit)))).collect()
}

/// A 24-digit hexadecimal identifier that sorts by `counter` (the shape of a MongoDB ObjectId).
pub(crate) fn object_id(counter: u64) -> String {
    format!("66{:014x}{:08x}", counter & 0xff_ffff_ffff_ffff, mix(counter) & 0xffff_ffff)
}

fn base32(bits: u128) -> u8 {
    BASE32.get((bits & 31) as usize).copied().unwrap_or(b'0')
}

fn pick<T>(items: &[T], number: u64) -> Option<&T> {
    items.get((number % items.len().max(1) as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_their_shapes_and_differ() {
        let uuid = user_uuid(1007);
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
        assert_eq!(ulid(3).len(), 26);
        assert!(ulid(3) < ulid(4));
        assert_eq!(object_id(3).len(), 24);
        assert!(object_id(3) < object_id(4));
        let distinct = users().map(user_uuid).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(distinct.len(), USERS as usize);
    }

    #[test]
    fn every_customer_has_orders() {
        let owners =
            (0..ORDERS).map(|n| order_owner(FIRST_ORDER + n)).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(owners.len(), USERS as usize);
    }
}
