//! The system log (syslog(3)).

use std::ffi::CString;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Which part of the system a message comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facility(i32);

const FACILITIES: &[(&str, i32)] = &[
    ("user", libc::LOG_USER),
    ("daemon", libc::LOG_DAEMON),
    ("local0", libc::LOG_LOCAL0),
    ("local1", libc::LOG_LOCAL1),
    ("local2", libc::LOG_LOCAL2),
    ("local3", libc::LOG_LOCAL3),
    ("local4", libc::LOG_LOCAL4),
    ("local5", libc::LOG_LOCAL5),
    ("local6", libc::LOG_LOCAL6),
    ("local7", libc::LOG_LOCAL7),
];

impl Facility {
    /// The facility of this code of syslog(3).
    pub fn from_code(code: i32) -> Facility {
        Facility(code)
    }

    /// The name, in lower case.
    pub fn name(self) -> &'static str {
        FACILITIES.iter().find(|(_, code)| *code == self.0).map_or("user", |(name, _)| name)
    }
}

/// The name is of no facility that a server may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownFacility;

impl std::fmt::Display for UnknownFacility {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such facility: expected user, daemon or local0 to local7")
    }
}

impl std::error::Error for UnknownFacility {}

impl FromStr for Facility {
    type Err = UnknownFacility;

    /// Reads `user`, `daemon` or `local0` to `local7`, in any case.
    fn from_str(name: &str) -> Result<Facility, UnknownFacility> {
        let found = FACILITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, code)| Facility(*code)).ok_or(UnknownFacility)
    }
}

/// How much a message matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Priority {
    /// For developers.
    Debug,
    /// Ordinary progress.
    Info,
    /// Worth noticing.
    Notice,
    /// Something is wrong.
    Warning,
}

/// What the C library has a pointer to.
static IDENT: Mutex<Option<CString>> = Mutex::new(None);

/// Opens the log for this process; every message carries `ident` and the process id. Calling it again
/// changes both.
pub fn open(ident: &str, facility: Facility) {
    let ident = c_string(ident);
    let mut kept = IDENT.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the string stays until another call has replaced the pointer to it, under the library's own lock.
    unsafe { libc::openlog(ident.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT, facility.0) };
    *kept = Some(ident);
}

/// Writes one message; without a system log it goes nowhere.
pub fn write(priority: Priority, message: &str) {
    let level = match priority {
        Priority::Debug => libc::LOG_DEBUG,
        Priority::Info => libc::LOG_INFO,
        Priority::Notice => libc::LOG_NOTICE,
        Priority::Warning => libc::LOG_WARNING,
    };
    let message = c_string(message);
    // SAFETY: the format takes exactly the one C string given.
    unsafe { libc::syslog(level, c"%s".as_ptr(), message.as_ptr()) };
}

/// Closes the connection to the log; a later [`write`] would open it again.
pub fn close() {
    // SAFETY: takes no pointer.
    unsafe { libc::closelog() };
}

/// The text up to its first zero byte, if it has one.
fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).expect("zero bytes were cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities() {
        assert_eq!("LOCAL0".parse(), Ok(Facility(libc::LOG_LOCAL0)));
        assert_eq!("user".parse::<Facility>().unwrap().name(), "user");
        assert_eq!("local8".parse::<Facility>(), Err(UnknownFacility));
        for (name, _) in FACILITIES {
            assert_eq!(name.parse::<Facility>().unwrap().name(), *name);
        }
    }

    #[test]
    fn messages_without_a_system_log_are_harmless() {
        open("kinovar-test", "local3".parse().unwrap());
        open("kinovar-test-again", "local3".parse().unwrap());
        write(Priority::Warning, "100%s of %n\0hidden");
        close();
    }
}
