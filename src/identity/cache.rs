//! A bounded cache that loads each missing entry once, however many callers wait for it.
//!
//! Entries carry their own deadline, because a validated token, a refusal and an outage are believed for different
//! times. Failures are ordinary values here, so that nothing but their deadline decides how long they are shared.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

/// Longest life of an entry, whatever its loader says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How often the cache spared its callers a load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Look-ups answered from the cache or by a load that was under way.
    pub hits: u64,
    /// Look-ups that had to load.
    pub misses: u64,
}

/// See the module.
pub(super) struct Cache<K, V> {
    slots: moka::future::Cache<K, Arc<Slot<V>>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The cell makes concurrent callers wait for one load. If the loading caller goes away, the next one loads.
type Slot<V> = OnceCell<Entry<V>>;

struct Entry<V> {
    value: V,
    until: Instant,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("hits", &self.hits)
            .field("misses", &self.misses)
            .finish_non_exhaustive()
    }
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache of at most about `capacity` entries.
    pub(super) fn new(capacity: u64) -> Self {
        let slots = moka::future::Cache::new(capacity);
        Self { slots, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// The value of `key` at the time `now`. Loads it if it is missing, past its deadline or `outdated`; `load`
    /// returns the value and how long it may be believed. A value whose time is zero still serves everyone who
    /// waited for it.
    pub(super) async fn fetch<F>(
        &self,
        key: K,
        now: Instant,
        outdated: impl Fn(&V) -> bool + Send + Sync,
        load: impl FnOnce() -> F + Send,
    ) -> V
    where
        F: Future<Output = (V, Duration)> + Send,
    {
        let dead = |slot: &Arc<Slot<V>>| slot.get().is_some_and(|e| e.until <= now || outdated(&e.value));
        let slot = self.slots.entry(key).or_insert_with_if(async { Arc::default() }, dead).await.into_value();
        let mut loaded = false;
        let fill = || {
            loaded = true;
            async {
                let started = Instant::now();
                let (value, life) = load().await;
                Entry { value, until: now + started.elapsed() + life.min(LONGEST) }
            }
        };
        let value = slot.get_or_init(fill).await.value.clone();
        let counter = if loaded { &self.misses } else { &self.hits };
        counter.fetch_add(1, Ordering::Relaxed);
        value
    }

    /// Counts since the start of the process.
    pub(super) fn stats(&self) -> CacheStats {
        CacheStats { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    async fn fetch(cache: &Cache<u8, u32>, now: Instant, fresh: u32) -> u32 {
        cache.fetch(1, now, |_| false, || async move { (fresh, LIFE) }).await
    }

    #[tokio::test]
    async fn a_value_is_believed_until_its_deadline() {
        let (cache, start) = (Cache::new(10), Instant::now());
        assert_eq!(fetch(&cache, start, 1).await, 1);
        assert_eq!(fetch(&cache, start + LIFE / 2, 2).await, 1);
        assert_eq!(fetch(&cache, start + LIFE * 2, 3).await, 3);
        assert_eq!(cache.stats(), CacheStats { hits: 1, misses: 2 });
    }

    #[tokio::test]
    async fn an_outdated_value_is_loaded_anew() {
        let (cache, now) = (Cache::new(10), Instant::now());
        fetch(&cache, now, 1).await;
        let load = || async { (2, LIFE) };
        assert_eq!(cache.fetch(1, now, |v| *v == 7, load).await, 1);
        assert_eq!(cache.fetch(1, now, |v| *v == 1, load).await, 2);
    }

    #[tokio::test]
    async fn a52_concurrent_callers_share_one_load_even_of_a_value_without_life() {
        let (cache, loads, now) = (Cache::new(10), AtomicUsize::new(0), Instant::now());
        let load = || async {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            (5, Duration::ZERO)
        };
        let values = join_all((0..50).map(|_| cache.fetch(1, now, |_| false, load))).await;
        assert!(values.iter().all(|v| *v == 5));
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        assert_eq!(cache.stats(), CacheStats { hits: 49, misses: 1 });
        assert_eq!(cache.fetch(1, Instant::now(), |_| false, || async { (6, LIFE) }).await, 6);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_hands_the_load_over() {
        let (cache, now, begun) = (Cache::new(10), Instant::now(), Notify::new());
        let stuck = cache.fetch(
            1,
            now,
            |_| false,
            || async {
                begun.notify_one();
                std::future::pending::<(u32, Duration)>().await
            },
        );
        tokio::select! {
            _ = stuck => unreachable!("the load never ends"),
            () = begun.notified() => {}
        }
        assert_eq!(fetch(&cache, now, 2).await, 2);
    }

    #[tokio::test]
    async fn an_absurd_life_does_not_overflow() {
        let cache = Cache::new(10);
        assert_eq!(cache.fetch(1, Instant::now(), |_| false, || async { (1, Duration::MAX) }).await, 1);
    }

    #[tokio::test]
    async fn the_cache_is_bounded() {
        let cache: Cache<u32, u32> = Cache::new(100);
        for key in 0..1_000 {
            cache.fetch(key, Instant::now(), |_| false, || async { (0, LIFE) }).await;
        }
        cache.slots.run_pending_tasks().await;
        assert!(cache.slots.entry_count() <= 100);
    }
}
