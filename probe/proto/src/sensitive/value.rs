//! The class of a value in a body. Other than a path segment it may have blanks in it, and its key may say what it is.
//!
//! What can be checked is checked: Luhn, mod 97, check letters. Bare digits that only might be something are left alone
//! unless the key says so.

use super::{Sensitive, classify};

/// Longest value that is looked at as a whole; keys in PEM are searched beyond.
const MAX_VALUE: usize = 4096;

/// Keys whose text is a secret, whatever it looks like. Compared without case, `-` and `_`.
const SECRET_KEYS: [&str; 14] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "clientsecret",
    "apikey",
    "apitoken",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authtoken",
    "sessiontoken",
    "privatekey",
];
/// Keys under which bare digits are a telephone number.
const PHONE_KEYS: [&str; 8] =
    ["phone", "phonenumber", "tel", "telephone", "mobile", "mobilenumber", "cellphone", "fax"];
/// Keys under which bare digits are a national id.
const ID_KEYS: [&str; 12] = [
    "ssn",
    "socialsecuritynumber",
    "nationalid",
    "nationalidnumber",
    "taxid",
    "personnummer",
    "pesel",
    "cpf",
    "dni",
    "nino",
    "aadhaar",
    "bsn",
];

/// Keys under which anything is about somebody's health. `condition` and `treatment` are not: goods and tests have these too.
const HEALTH_KEYS: [&str; 30] = [
    "diagnosis",
    "diagnoses",
    "diagnosiscode",
    "icd10",
    "icd10code",
    "icdcode",
    "snomed",
    "snomedcode",
    "loinc",
    "medication",
    "medications",
    "prescription",
    "prescriptions",
    "allergy",
    "allergies",
    "immunization",
    "immunizations",
    "vaccination",
    "vaccinations",
    "symptom",
    "symptoms",
    "bloodtype",
    "bloodgroup",
    "bloodpressure",
    "heartrate",
    "medicalhistory",
    "medicalrecordnumber",
    "mrn",
    "nhsnumber",
    "healthinsurancenumber",
];
/// What FHIR calls the resources that are about a patient (HL7 FHIR R5, `resourceType`).
const FHIR_RESOURCES: [&str; 12] = [
    "Patient",
    "Observation",
    "Condition",
    "Encounter",
    "Procedure",
    "MedicationRequest",
    "MedicationStatement",
    "AllergyIntolerance",
    "Immunization",
    "DiagnosticReport",
    "CarePlan",
    "FamilyMemberHistory",
];

/// Whether anything at this place of a document, or around it, says that it is about somebody's health.
pub(crate) fn is_of_health(path: &str) -> bool {
    path.split('.').any(|key| is_named(key.trim_end_matches("[]").as_bytes(), &HEALTH_KEYS))
}

/// The class of a value under `key`, which may be empty.
#[must_use]
pub fn classify_value(key: &[u8], value: &[u8]) -> Option<Sensitive> {
    let value = value.trim_ascii();
    if value.len() > 64 && is_private_key(value) {
        return Some(Sensitive::PrivateKey);
    }
    let value = value.get(..MAX_VALUE).unwrap_or(value);
    if key == b"resourceType" && FHIR_RESOURCES.iter().any(|name| name.as_bytes() == value) {
        return Some(Sensitive::Health);
    }
    if value.len() < 7 {
        return (!value.is_empty() && is_named(key, &SECRET_KEYS)).then_some(Sensitive::Token);
    }
    let digits = Digits::of(value);
    if digits.is_card() {
        Some(Sensitive::Card)
    } else if is_iban(value) {
        Some(Sensitive::Iban)
    } else if is_national_id(value) || (digits.count >= 8 && digits.only && is_named(key, &ID_KEYS)) {
        Some(Sensitive::NationalId)
    } else if digits.is_phone(value) || (digits.count >= 7 && digits.only && is_named(key, &PHONE_KEYS)) {
        Some(Sensitive::Phone)
    } else if let Some(class) = classify(value) {
        Some(class)
    } else {
        is_named(key, &SECRET_KEYS).then_some(Sensitive::Token)
    }
}

/// Whether a key is one of the names, without case and separators.
fn is_named(key: &[u8], names: &[&str]) -> bool {
    let mut buffer = [0; 24];
    let mut len = 0;
    for byte in key.iter().filter(|byte| !matches!(byte, b'-' | b'_' | b' ')) {
        let Some(slot) = buffer.get_mut(len) else { return false };
        *slot = byte.to_ascii_lowercase();
        len += 1;
    }
    names.iter().any(|name| buffer.get(..len) == Some(name.as_bytes()))
}

fn is_private_key(value: &[u8]) -> bool {
    memchr::memmem::find(value, b"-----BEGIN ")
        .and_then(|at| value.get(at..))
        .and_then(|head| head.get(..64).or(Some(head)))
        .is_some_and(|head| memchr::memmem::find(head, b"PRIVATE KEY-----").is_some())
}

/// The digits of a value that may be grouped.
struct Digits {
    digits: [u8; 19],
    count: usize,
    /// Nothing but digits, blanks, hyphens, dots, slashes, parentheses and a plus sign.
    only: bool,
}

impl Digits {
    fn of(value: &[u8]) -> Self {
        let mut digits = Self { digits: [0; 19], count: 0, only: true };
        for byte in value {
            match byte {
                b'0'..=b'9' => {
                    if let Some(slot) = digits.digits.get_mut(digits.count) {
                        *slot = byte - b'0';
                    }
                    digits.count += 1;
                }
                b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'+' => {}
                _ => digits.only = false,
            }
        }
        digits
    }

    fn known(&self) -> &[u8] {
        self.digits.get(..self.count).unwrap_or_default()
    }

    /// A length and beginning that a card network has, and the check digit.
    fn is_card(&self) -> bool {
        let [a, b, c, d, ..] = self.digits;
        let (two, four) =
            (a * 10 + b, u16::from(a) * 1000 + u16::from(b) * 100 + u16::from(c) * 10 + u16::from(d));
        let network = match self.count {
            13 | 19 => a == 4,
            14 => matches!(two, 30 | 36 | 38 | 39),
            15 => matches!(two, 34 | 37),
            16 => a == 4 || matches!(two, 35 | 51..=55 | 60 | 62 | 64 | 65) || (2221..=2720).contains(&four),
            _ => false,
        };
        self.only && network && self.luhn()
    }

    fn luhn(&self) -> bool {
        let sum: u32 = self
            .known()
            .iter()
            .rev()
            .enumerate()
            .map(|(at, digit)| match u32::from(*digit) * (1 + at as u32 % 2) {
                double if double > 9 => double - 9,
                single => single,
            })
            .sum();
        sum.is_multiple_of(10)
    }

    /// International form: a plus sign and eight to fifteen digits (E.164).
    fn is_phone(&self, value: &[u8]) -> bool {
        self.only && value.first() == Some(&b'+') && (8..=15).contains(&self.count)
    }
}

/// ISO 13616: country, check digits, account; in groups or not.
fn is_iban(value: &[u8]) -> bool {
    let mut packed = [0; 34];
    let mut len = 0;
    for byte in value.iter().filter(|byte| **byte != b' ') {
        let Some(slot) = packed.get_mut(len) else { return false };
        *slot = byte.to_ascii_uppercase();
        len += 1;
    }
    let iban = packed.get(..len).unwrap_or_default();
    let [a, b, c, d, account @ ..] = iban else { return false };
    let formed = [a, b].into_iter().all(u8::is_ascii_uppercase)
        && [c, d].into_iter().all(u8::is_ascii_digit)
        && (11..=30).contains(&account.len())
        && account.iter().filter(|byte| byte.is_ascii_digit()).count() >= 6;
    if !formed {
        return false;
    }
    let rest = account.iter().chain([a, b, c, d]).try_fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => Some((rest * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((rest * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    });
    rest == Some(1)
}

fn is_national_id(value: &[u8]) -> bool {
    is_ssn(value)
        || is_dni(value)
        || is_nino(value)
        || is_codice_fiscale(value)
        || is_cpf(value)
        || is_nir(value)
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

/// United States: `AAA-GG-SSSS`, without the areas and groups that are never given.
fn is_ssn(value: &[u8]) -> bool {
    let [a @ .., b'-', g1, g2, b'-', _, _, _, _] = value else { return false };
    let serial = value.get(7..).and_then(number);
    let (area, group) = (number(a), number(&[*g1, *g2]));
    a.len() == 3
        && area.is_some_and(|area| area != 0 && area != 666 && area < 900)
        && group.is_some_and(|group| group != 0)
        && serial.is_some_and(|serial| serial != 0)
}

/// Spain: eight digits, or a letter and seven, with a check letter.
fn is_dni(value: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let [first, middle @ .., check] = value else { return false };
    let middle = middle.strip_suffix(b"-").unwrap_or(middle);
    let lead = match first {
        b'0'..=b'9' => u64::from(first - b'0'),
        b'X' | b'Y' | b'Z' => u64::from(first - b'X'),
        _ => return false,
    };
    middle.len() == 7
        && number(middle)
            .and_then(|rest| LETTERS.get(((lead * 10_000_000 + rest) % 23) as usize))
            .is_some_and(|letter| letter == check)
}

/// United Kingdom: two letters, six digits, a letter from A to D.
fn is_nino(value: &[u8]) -> bool {
    let mut packed = [0; 9];
    let mut len = 0;
    for byte in value.iter().filter(|byte| **byte != b' ') {
        let Some(slot) = packed.get_mut(len) else { return false };
        *slot = *byte;
        len += 1;
    }
    let [a, b, digits @ .., last] = packed;
    len == 9
        && a.is_ascii_uppercase()
        && b.is_ascii_uppercase()
        && !b"DFIQUV".contains(&a)
        && !b"DFIOQUV".contains(&b)
        && number(&digits).is_some()
        && matches!(last, b'A'..=b'D')
}

/// Italy: sixteen characters with a check letter.
fn is_codice_fiscale(value: &[u8]) -> bool {
    const ODD: [u8; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let Some((body, [check])) = value.split_at_checked(15) else { return false };
    let letters = |from: usize, to: usize| {
        body.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_uppercase))
    };
    if !letters(0, 6) || !letters(8, 9) || !letters(11, 12) {
        return false;
    }
    let sum = body.iter().enumerate().try_fold(0_u32, |sum, (at, byte)| {
        let ordinal = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A',
            _ => return None,
        };
        let value = if at % 2 == 0 { *ODD.get(usize::from(ordinal))? } else { ordinal };
        Some(sum + u32::from(value))
    });
    sum.is_some_and(|sum| u32::from(*check) == u32::from(b'A') + sum % 26)
}

/// Brazil: `ddd.ddd.ddd-cc` with two check digits.
fn is_cpf(value: &[u8]) -> bool {
    let formed = value.len() == 14
        && value.iter().enumerate().all(|(at, byte)| match at {
            3 | 7 => *byte == b'.',
            11 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !formed {
        return false;
    }
    let digits = Digits::of(value);
    let check = |length: u32| {
        let weighted = digits.known().iter().zip((2..=length + 1).rev());
        let sum: u32 = weighted.map(|(digit, weight)| u32::from(*digit) * weight).sum();
        (sum * 10 % 11 % 10) as u8
    };
    matches!(digits.known(), [.., a, b] if *a == check(9) && *b == check(10))
}

/// France: thirteen digits and a key of two, mod 97.
fn is_nir(value: &[u8]) -> bool {
    let digits = Digits::of(value);
    let plain = value.iter().all(|byte| byte.is_ascii_digit() || *byte == b' ');
    if digits.count != 15 || !plain || !matches!(digits.digits.first(), Some(1 | 2)) {
        return false;
    }
    let value = digits.known().iter().fold(0_u64, |value, digit| value * 10 + u64::from(*digit));
    let month = value / 10_000_000_000 % 100;
    (1..=12).contains(&month) && 97 - value / 100 % 97 == value % 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes() {
        for (key, value, class) in [
            ("", "4111 1111 1111 1111", Some(Sensitive::Card)),
            ("", "378282246310005", Some(Sensitive::Card)),
            ("", "5555-5555-5555-4444", Some(Sensitive::Card)),
            ("", "4111111111111112", None),
            ("order", "1234567812345670", None),
            ("", "DE89 3704 0044 0532 0130 00", Some(Sensitive::Iban)),
            ("", "GB82WEST12345698765432", Some(Sensitive::Iban)),
            ("", "DE89370400440532013001", None),
            ("", "+49 30 901820", Some(Sensitive::Phone)),
            ("", "030 901820", None),
            ("phone_number", "030 901820", Some(Sensitive::Phone)),
            ("", "078-05-1120", Some(Sensitive::NationalId)),
            ("", "666-05-1120", None),
            ("", "2026-05-1120", None),
            ("", "12345678Z", Some(Sensitive::NationalId)),
            ("", "X1234567L", Some(Sensitive::NationalId)),
            ("", "12345678A", None),
            ("", "AB123456C", Some(Sensitive::NationalId)),
            ("", "RSSMRA85T10A562S", Some(Sensitive::NationalId)),
            ("", "RSSMRA85T10A562T", None),
            ("", "529.982.247-25", Some(Sensitive::NationalId)),
            ("", "529.982.247-26", None),
            ("", "2 55 08 14 168 025 38", Some(Sensitive::NationalId)),
            ("ssn", "123456789", Some(Sensitive::NationalId)),
            ("id", "123456789", None),
            ("mail", "ada@example.com", Some(Sensitive::Email)),
            ("", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", Some(Sensitive::Jwt)),
            ("", "sk_live_0123456789abcdef", Some(Sensitive::Token)),
            ("password", "pw", Some(Sensitive::Token)),
            ("Client-Secret", "correct horse", Some(Sensitive::Token)),
            ("password", "", None),
            ("name", "Ada Lovelace", None),
            ("at", "2026-01-02T03:04:05Z", None),
            ("id", "550e8400-e29b-41d4-a716-446655440000", None),
        ] {
            assert_eq!(classify_value(key.as_bytes(), value.as_bytes()), class, "{key}: {value}");
        }
        let pem =
            format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", "MIIE".repeat(30));
        assert_eq!(classify_value(b"", pem.as_bytes()), Some(Sensitive::PrivateKey));
        let certificate = format!("-----BEGIN CERTIFICATE-----\n{}", "MIIE".repeat(30));
        assert_ne!(classify_value(b"", certificate.as_bytes()), Some(Sensitive::PrivateKey));
    }

    proptest! {
        #[test]
        fn nothing_panics(key in proptest::collection::vec(any::<u8>(), 0..40), value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _any = classify_value(&key, &value);
        }

        #[test]
        fn short_shapes(value in "[A-Z0-9 +.-]{6,36}") {
            let _any = classify_value(b"", value.as_bytes());
        }
    }
}
