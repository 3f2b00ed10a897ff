//! Places at which crash tests end the process, as SIGKILL would. Compiled in with feature `dev` only.

/// Ends the process here if `VITRINE_FAULT` names this point: `name` at its first passing, `name:3` at its third.
#[cfg(feature = "dev")]
pub fn pass(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let armed = std::env::var("VITRINE_FAULT").ok()?;
        let (name, passings) = armed.split_once(':').unwrap_or((&armed, "1"));
        Some((name.to_owned(), AtomicU32::new(passings.parse().ok()?)))
    });
    if let Some((armed, left)) = &*ARMED
        && armed == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

/// Nothing, without feature `dev`.
#[cfg(not(feature = "dev"))]
pub fn pass(_name: &str) {}
