//! Secrets in files that change while the service runs: a mounted secret is replaced, and the next use finds the new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tracing::{info, warn};

/// Files are looked at no more often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What has been like this for so long is written to its end, and so are the files that go with it.
const SETTLED: Duration = Duration::from_secs(5);

/// Secrets that belong together, such as the two halves of a key pair. All of them change at once or none does.
#[derive(Debug)]
pub struct SecretFiles {
    /// What they are for, in log lines.
    name: String,
    /// Where each is read from; one without a file stays as it is.
    files: Vec<Option<PathBuf>>,
    state: Mutex<State>,
}

/// Secrets in force, in the order they were given.
#[derive(Debug, Clone)]
pub struct Current {
    /// The secrets; shared, as every use of a store or of the database asks for them.
    pub values: Arc<[SecretString]>,
    /// When they came into force here.
    pub since: Instant,
}

#[derive(Debug)]
struct State {
    current: Current,
    /// What the files held when they were last looked at, if that is something new, and since when.
    next: Option<(Vec<SecretString>, Instant)>,
    next_look: Instant,
    complained: bool,
}

impl SecretFiles {
    /// Begins with secrets as they were read when the service started. `name` says in log lines what they are for.
    pub fn new(name: impl Into<String>, secrets: Vec<(Option<PathBuf>, SecretString)>) -> Self {
        let (files, values): (_, Vec<_>) = secrets.into_iter().unzip();
        let now = Instant::now();
        let current = Current { values: values.into(), since: now };
        let state = State { current, next: None, next_look: now + LOOK_EVERY, complained: false };
        Self { name: name.into(), files, state: Mutex::new(state) }
    }

    /// The secrets in force. New ones count once their files have been left alone for a while; while a file cannot be
    /// read or is empty, the old ones stay, and a warning tells.
    pub fn current(&self) -> Current {
        self.look(Instant::now())
    }

    /// Reads the files now, and what they hold counts at once: whoever asks for it has written them to their end. As
    /// with [`SecretFiles::current`], the old secrets stay where a file cannot be read or is empty.
    pub fn reread(&self) {
        if self.files.iter().all(Option::is_none) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read(&state.current.values) {
            Err(problem) => warn!("{}: {problem}; what was read before stays in force", self.name),
            Ok((values, _)) if same(&values, &state.current.values) => {}
            Ok((values, _)) => self.adopt(&mut state, values, Instant::now()),
        }
    }

    fn look(&self, now: Instant) -> Current {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now < state.next_look || self.files.iter().all(Option::is_none) {
            return state.current.clone();
        }
        state.next_look = now + LOOK_EVERY;
        match self.read(&state.current.values) {
            Err(problem) => {
                if !std::mem::replace(&mut state.complained, true) {
                    warn!("{}: {problem}; what was read before stays in force", self.name);
                }
                state.next = None;
            }
            Ok((values, _)) if same(&values, &state.current.values) => {
                (state.next, state.complained) = (None, false);
            }
            Ok((values, age)) => {
                let seen = state.next.take().filter(|(seen, _)| same(seen, &values)).map(|(_, since)| since);
                let since = seen.unwrap_or(now);
                if age >= SETTLED || now - since >= SETTLED {
                    self.adopt(&mut state, values, now);
                } else {
                    state.next = Some((values, since));
                }
            }
        }
        state.current.clone()
    }

    /// Puts other secrets in force.
    fn adopt(&self, state: &mut State, values: Vec<SecretString>, now: Instant) {
        info!("{}: new credentials were read from their files", self.name);
        (state.current, state.complained) = (Current { values: values.into(), since: now }, false);
        state.next = None;
    }

    /// What the files hold, and for how long at least.
    fn read(&self, known: &[SecretString]) -> Result<(Vec<SecretString>, Duration), String> {
        let mut values = Vec::with_capacity(known.len());
        let mut age = Duration::MAX;
        for (file, known) in self.files.iter().zip(known) {
            let Some(file) = file else {
                values.push(known.clone());
                continue;
            };
            let unread = |error: io::Error| format!("cannot read {}: {error}", file.display());
            let changed = fs::metadata(file).and_then(|file| file.modified()).map_err(unread)?;
            age = age.min(since(changed));
            let value = read(file).map_err(unread)?;
            if value.expose_secret().is_empty() {
                return Err(format!("{} is empty", file.display()));
            }
            values.push(value);
        }
        Ok((values, age))
    }
}

/// The secret in a file: its text without the last line break, as editors and `echo` end files with one.
///
/// # Errors
/// When the file cannot be read or is no text.
pub fn read(file: &Path) -> io::Result<SecretString> {
    let text = fs::read_to_string(file)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretString::from(text.strip_suffix('\r').unwrap_or(text)))
}

/// How long ago a file changed, by the clock that stamps files; a time of the future says nothing.
fn since(changed: SystemTime) -> Duration {
    (OffsetDateTime::now_utc() - OffsetDateTime::from(changed)).try_into().unwrap_or_default()
}

fn same(one: &[SecretString], other: &[SecretString]) -> bool {
    one.iter().map(SecretString::expose_secret).eq(other.iter().map(SecretString::expose_secret))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::fs::File;

    use super::*;

    /// A pair in files of its own, and the clock of the looks.
    struct Pair {
        dir: PathBuf,
        files: SecretFiles,
        now: Instant,
    }

    impl Pair {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("vitrine-pair-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            let slot = |name: &str| (Some(dir.join(name)), SecretString::from("old"));
            let files = SecretFiles::new("stores.main", vec![slot("access"), slot("secret")]);
            let pair = Self { dir, files, now: Instant::now() };
            pair.write("access", "old\n", Duration::ZERO);
            pair.write("secret", "old\n", Duration::ZERO);
            pair
        }

        /// Writes a file as if it had been written `ago`.
        fn write(&self, name: &str, text: &str, ago: Duration) {
            let file = self.dir.join(name);
            fs::write(&file, text).unwrap();
            let changed = OffsetDateTime::now_utc() - ago;
            File::options().write(true).open(&file).unwrap().set_modified(changed.into()).unwrap();
        }

        /// What is in force after another while.
        fn after(&mut self, seconds: u64) -> String {
            self.now += Duration::from_secs(seconds);
            let values = self.files.look(self.now).values;
            format!("{}:{}", values[0].expose_secret(), values[1].expose_secret())
        }
    }

    impl Drop for Pair {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    #[test]
    fn a_pair_that_was_replaced_a_while_ago_counts_at_once() {
        let mut pair = Pair::new("replaced");
        assert_eq!(pair.after(2), "old:old");
        pair.write("access", "new", SETTLED * 2);
        pair.write("secret", "new\r\n", SETTLED * 2);
        let began = pair.files.current().since;
        assert_eq!(pair.after(2), "new:new");
        assert!(pair.files.look(pair.now).since > began);
    }

    #[test]
    fn half_a_pair_does_not_count_before_the_other_half_had_time_to_come() {
        let mut pair = Pair::new("half");
        pair.write("access", "new", Duration::ZERO);
        assert_eq!(pair.after(2), "old:old");
        pair.write("secret", "ne", Duration::ZERO);
        assert_eq!(pair.after(4), "old:old");
        pair.write("secret", "new", Duration::ZERO);
        assert_eq!(pair.after(4), "old:old");
        assert_eq!(pair.after(6), "new:new");
    }

    #[test]
    fn what_cannot_be_read_leaves_the_old_pair_in_force() {
        let mut pair = Pair::new("unread");
        pair.write("access", "new", SETTLED * 2);
        pair.write("secret", "", SETTLED * 2);
        assert_eq!(pair.after(2), "old:old");
        fs::remove_file(pair.dir.join("secret")).unwrap();
        assert_eq!(pair.after(20), "old:old");
        pair.write("secret", "new", SETTLED * 2);
        assert_eq!(pair.after(2), "new:new");
    }

    #[test]
    fn who_asks_for_it_need_not_wait_until_a_file_has_settled() {
        let mut pair = Pair::new("asked");
        pair.write("access", "new", Duration::ZERO);
        pair.write("secret", "", Duration::ZERO);
        pair.files.reread();
        assert_eq!(pair.after(0), "old:old", "half a pair is none");
        pair.write("secret", "new", Duration::ZERO);
        pair.files.reread();
        assert_eq!(pair.after(0), "new:new");
    }

    #[test]
    fn secrets_are_not_in_what_is_printed_of_them() {
        let pair = Pair::new("printed");
        assert!(!format!("{:?}", pair.files).contains("old"));
    }
}
