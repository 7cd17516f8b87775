//! Cipher suites by the names that OpenSSL has for them.
//!
//! `tls-ciphers` is written in OpenSSL's notation (openssl-ciphers(1)): names and classes of suites, joined and struck out by
//! operators. Here it chooses among the suites of TLS 1.2 that rustls has: those with forward secrecy and authenticated
//! encryption. Everything that selects none of them selects nothing, as in OpenSSL.

use rustls::crypto::ring::cipher_suite as suite;
use rustls::{SupportedCipherSuite, crypto::ring};

/// A suite of TLS 1.2: OpenSSL's name, and the classes that it belongs to.
struct Known {
    name: &'static str,
    classes: &'static [&'static str],
    /// Strength, bits.
    bits: u32,
    suite: SupportedCipherSuite,
}

/// In the order of preference: that of OpenSSL.
static TLS12: [Known; 6] = [
    known(
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        &["ECDSA", "aECDSA", "AES256", "AES", "AESGCM", "FIPS"],
        256,
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    known(
        "ECDHE-RSA-AES256-GCM-SHA384",
        &["aRSA", "AES256", "AES", "AESGCM", "FIPS"],
        256,
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    known(
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        &["ECDSA", "aECDSA", "CHACHA20"],
        256,
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    known(
        "ECDHE-RSA-CHACHA20-POLY1305",
        &["aRSA", "CHACHA20"],
        256,
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    known(
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        &["ECDSA", "aECDSA", "AES128", "AES", "AESGCM", "FIPS"],
        128,
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    known(
        "ECDHE-RSA-AES128-GCM-SHA256",
        &["aRSA", "AES128", "AES", "AESGCM", "FIPS"],
        128,
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
];

/// Classes that all of them belong to.
const ALL_OF_THEM: [&str; 9] =
    ["ALL", "DEFAULT", "COMPLEMENTOFDEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "TLSv1.2"];

const TLS13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
];

const fn known(name: &'static str, classes: &'static [&'static str], bits: u32, suite: SupportedCipherSuite) -> Known {
    Known { name, classes, bits, suite }
}

impl Known {
    /// Whether a word selects it: its name, or classes joined by `+` of which it is in each.
    fn is_meant_by(&self, word: &str) -> bool {
        let is_in = |class: &str| {
            class != "COMPLEMENTOFDEFAULT" && (ALL_OF_THEM.contains(&class) || self.classes.contains(&class))
        };
        word == self.name || word.split('+').all(is_in)
    }
}

/// What a list of names has come to.
#[derive(Default)]
pub struct Choice {
    /// The suites, the preferred one first.
    pub suites: Vec<SupportedCipherSuite>,
    /// Words that select nothing here.
    pub without_effect: Vec<String>,
}

/// The suites of TLS 1.2 that `tls-ciphers` selects; all of them if it is empty.
pub fn tls12(list: &str) -> Choice {
    if list.trim().is_empty() {
        return Choice { suites: TLS12.iter().map(|known| known.suite).collect(), ..Choice::default() };
    }
    let mut list_so_far = List(TLS12.iter().map(|known| (known, false)).collect());
    let mut without_effect = Vec::new();
    for word in list.split([':', ',', ' ', ';']).filter(|word| !word.is_empty()) {
        if !list_so_far.obey(word) {
            without_effect.push(word.to_owned());
        }
    }
    let chosen = list_so_far.0.into_iter().filter(|(_, is_chosen)| *is_chosen);
    Choice { suites: chosen.map(|(known, _)| known.suite).collect(), without_effect }
}

/// All suites in an order that words change, and whether each is chosen. One that was struck out for good is gone.
struct List(Vec<(&'static Known, bool)>);

impl List {
    /// Does what a word says. False if it is about nothing that is known here.
    fn obey(&mut self, word: &str) -> bool {
        if let Some(special) = word.strip_prefix('@') {
            match special.split_once('=') {
                None if special == "STRENGTH" => self.0.sort_by_key(|(known, _)| std::cmp::Reverse(known.bits)),
                // Levels 0 to 3 ask for 128 bits at most, which all suites have.
                Some(("SECLEVEL", "0" | "1" | "2" | "3")) => {}
                Some(("SECLEVEL", "4" | "5")) => self.0.retain(|(known, _)| known.bits >= 192),
                _ => return false,
            }
            return true;
        }
        let (operator, name) = match word.as_bytes()[0] {
            first @ (b'!' | b'-' | b'+') => (first, &word[1..]),
            _ => (b' ', word),
        };
        // Those that are chosen already stay where they are, and only those can be moved or taken out.
        let moves = |(known, is_chosen): &(&Known, bool)| {
            known.is_meant_by(name) && (operator == b'!' || *is_chosen == (operator != b' '))
        };
        let moving: Vec<&'static Known> = self.0.iter().filter(|entry| moves(entry)).map(|(known, _)| *known).collect();
        self.0.retain(|entry| !moves(entry));
        match operator {
            b'!' => {}
            // To the front: chosen anew, they come first.
            b'-' => drop(self.0.splice(..0, moving.into_iter().map(|known| (known, false)))),
            _ => self.0.extend(moving.into_iter().map(|known| (known, true))),
        }
        operator != b' ' || TLS12.iter().any(|known| known.is_meant_by(name))
    }
}

/// The suites of TLS 1.3 that `tls-ciphersuites` names; all of them if it is empty.
pub fn tls13(list: &str) -> Choice {
    let mut choice = Choice::default();
    if list.trim().is_empty() {
        choice.suites = TLS13.iter().map(|(_, suite)| *suite).collect();
        return choice;
    }
    for word in list.split(':').map(str::trim).filter(|word| !word.is_empty()) {
        match TLS13.iter().find(|(name, _)| *name == word) {
            Some((_, suite)) if !choice.suites.contains(suite) => choice.suites.push(*suite),
            Some(_) => {}
            None => choice.without_effect.push(word.to_owned()),
        }
    }
    choice
}

/// The name of a suite, for tests.
#[cfg(test)]
fn name(suite: SupportedCipherSuite) -> &'static str {
    let of_tls12 = TLS12.iter().find(|known| known.suite == suite).map(|known| known.name);
    let of_tls13 = || TLS13.iter().find(|(_, other)| *other == suite).map(|(name, _)| *name);
    of_tls12.or_else(of_tls13).unwrap_or("another suite")
}

/// The arithmetic behind the suites, with these ones only.
pub fn provider(suites: Vec<SupportedCipherSuite>) -> rustls::crypto::CryptoProvider {
    rustls::crypto::CryptoProvider { cipher_suites: suites, ..ring::default_provider() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(choice: &Choice) -> Vec<&'static str> {
        choice.suites.iter().map(|suite| name(*suite)).collect()
    }

    #[test]
    fn lists_in_openssls_notation() {
        // Asked of `openssl ciphers -s -tls1_2`, with what is not here left out.
        let short = |list: &str| -> Vec<&str> {
            names(&tls12(list)).into_iter().map(|name| name.trim_start_matches("ECDHE-")).collect()
        };
        assert_eq!(short("").len(), 6);
        assert_eq!(short("DEFAULT:!MEDIUM"), short(""));
        assert_eq!(short("DEFAULT:!aNULL:!eNULL"), short("HIGH"));
        assert_eq!(short("ECDHE-RSA-AES128-GCM-SHA256"), ["RSA-AES128-GCM-SHA256"]);
        assert_eq!(
            short("ECDHE+aRSA+AESGCM:ECDHE+aRSA+CHACHA20"),
            ["RSA-AES256-GCM-SHA384", "RSA-AES128-GCM-SHA256", "RSA-CHACHA20-POLY1305"]
        );
        assert_eq!(short("ALL:!AES:!aECDSA"), ["RSA-CHACHA20-POLY1305"]);
        assert_eq!(short("AES128:-aRSA:ALL:!ECDSA")[0], "RSA-AES128-GCM-SHA256");
        assert_eq!(short("aRSA:+AES256")[2], "RSA-AES256-GCM-SHA384");
        assert_eq!(short("aRSA+AES128:aRSA:@STRENGTH")[2], "RSA-AES128-GCM-SHA256");
        assert_eq!(short("!AES128:ALL").len(), 4, "what is struck out does not come back");
        assert_eq!(short("-AES128:ALL").len(), 6, "what is taken out may come back");
        assert_eq!(short("SHA256:SHA384:RSA"), Vec::<&str>::new(), "those are other suites");
        assert_eq!(short("FIPS:!AES256:!aECDSA"), ["RSA-AES128-GCM-SHA256"]);
        assert_eq!(short("ALL:@SECLEVEL=4").len(), 4);
        assert_eq!(short("COMPLEMENTOFDEFAULT:AES128-SHA:kRSA"), Vec::<&str>::new());
    }

    #[test]
    fn words_without_effect_are_named() {
        assert_eq!(tls12("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA:!RC4").without_effect, ["AES128-SHA"]);
        assert_eq!(tls13("TLS_AES_128_CCM_SHA256:TLS_AES_128_GCM_SHA256").without_effect, ["TLS_AES_128_CCM_SHA256"]);
    }

    #[test]
    fn suites_of_tls13() {
        assert_eq!(names(&tls13("")), TLS13.map(|(name, _)| name));
        let reversed = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";
        assert_eq!(names(&tls13(reversed)), ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]);
        assert!(tls13("ECDHE-RSA-AES128-GCM-SHA256").suites.is_empty());
    }
}
