//! Memory for parts, shared by all uploads of the process.
//!
//! Every byte of a part buffer is covered by a permit that lives in the buffer's owner and returns when its last
//! clone drops, so the budget *is* the memory bound. An upload is admitted with memory for two parts and
//! keeps it until it ends. Beyond that it takes memory only when free at once; otherwise it waits for its own
//! earlier parts. So nobody waits for shared memory while holding some, and permits cannot deadlock.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::layout::Layout;
use super::{Error, ErrorKind, Result};

/// Permits count whole MiB.
const UNIT: u64 = 1 << 20;

/// How long an upload waits to be admitted.
const ADMISSION_LIMIT: Duration = Duration::from_secs(30);

/// Parts an upload is admitted with: one is filled while the other is on its way.
const ADMITTED_PARTS: u64 = 2;

/// The part memory of the process.
#[derive(Debug, Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    total: u64,
    parts_in_flight: usize,
}

impl Budget {
    /// A budget of `bytes`, in whole MiB; uploads keep up to `parts_in_flight` parts on their way.
    pub fn new(bytes: u64, parts_in_flight: usize) -> Self {
        let total = (bytes / UNIT).min(u64::from(u32::MAX >> 4));
        let free = Semaphore::new(usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS));
        Self { free: Arc::new(free), total, parts_in_flight: parts_in_flight.max(1) }
    }

    /// Bytes nobody holds.
    pub fn free(&self) -> u64 {
        self.free.available_permits() as u64 * UNIT
    }

    /// Admits an upload, in order of arrival, with memory for two parts; less where the whole object needs less.
    /// Call it before reading anything of the body.
    ///
    /// # Errors
    /// `NoMemory` when nothing was free for 30 s, or when one part is more than the whole budget.
    pub async fn admit(&self, layout: Layout) -> Result<Admission> {
        self.admit_within(layout, ADMISSION_LIMIT).await
    }

    pub(super) async fn admit_within(&self, layout: Layout, limit: Duration) -> Result<Admission> {
        let part = units(layout.first_part());
        let wanted = if layout.fits_one_part() { 1 } else { ADMITTED_PARTS };
        let parts = wanted.min(self.total / u64::from(part));
        let refused = || Error::new(ErrorKind::NoMemory, "admit");
        let amount = u32::try_from(parts * u64::from(part)).ok().filter(|n| *n > 0).ok_or_else(refused)?;
        let acquire = Arc::clone(&self.free).acquire_many_owned(amount);
        let grant = timeout(limit, acquire).await.map_err(|_| refused())?.map_err(|_| refused())?;
        let parts = usize::try_from(parts).unwrap_or(1);
        Ok(Admission {
            layout,
            parts_in_flight: self.parts_in_flight,
            grant: Arc::new(grant),
            own: Arc::new(Semaphore::new(parts)),
            extra: Arc::new(Semaphore::new(self.parts_in_flight)),
            free: Arc::clone(&self.free),
        })
    }
}

/// Permission to upload one object, with the memory for it.
#[derive(Debug)]
pub struct Admission {
    layout: Layout,
    parts_in_flight: usize,
    grant: Arc<OwnedSemaphorePermit>,
    own: Arc<Semaphore>,
    extra: Arc<Semaphore>,
    free: Arc<Semaphore>,
}

impl Admission {
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn parts_in_flight(&self) -> usize {
        self.parts_in_flight
    }

    /// A buffer of `size` bytes, or the largest smaller one, if there is memory for it at once.
    pub(super) fn try_buffer(&self, size: u64) -> Option<PartBuffer> {
        let least = self.layout.first_part();
        let mut size = size.max(least);
        loop {
            if let Some(permit) = self.try_permit(size) {
                return Some(PartBuffer::new(size, permit));
            }
            if size == least {
                return None;
            }
            size = (size / 2).max(least);
        }
    }

    /// A buffer of the first part's size, as soon as one of this upload's own is free again. Safe to cancel.
    pub(super) async fn own_buffer(&self) -> Result<PartBuffer> {
        let slot = Arc::clone(&self.own).acquire_owned().await;
        let slot = slot.map_err(|error| Error::new(ErrorKind::Internal, "admit").with_source(error))?;
        let permit = Permit { _slot: slot, _grant: Some(Arc::clone(&self.grant)), _shared: None };
        Ok(PartBuffer::new(self.layout.first_part(), permit))
    }

    fn try_permit(&self, size: u64) -> Option<Permit> {
        let least = self.layout.first_part();
        if let Ok(slot) = Arc::clone(&self.own).try_acquire_owned() {
            let shared = match size - least {
                0 => None,
                more => Some(self.try_shared(more)?),
            };
            return Some(Permit { _slot: slot, _grant: Some(Arc::clone(&self.grant)), _shared: shared });
        }
        let slot = Arc::clone(&self.extra).try_acquire_owned().ok()?;
        Some(Permit { _slot: slot, _grant: None, _shared: Some(self.try_shared(size)?) })
    }

    fn try_shared(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_many_owned(units(bytes)).ok()
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Memory of one buffer; gives it back when dropped. The grant goes back to the process only with the last buffer
/// of an upload that has ended.
#[derive(Debug)]
struct Permit {
    _slot: OwnedSemaphorePermit,
    _grant: Option<Arc<OwnedSemaphorePermit>>,
    _shared: Option<OwnedSemaphorePermit>,
}

/// A part being filled.
#[derive(Debug)]
pub(super) struct PartBuffer {
    data: Vec<u8>,
    size: usize,
    permit: Permit,
}

impl PartBuffer {
    fn new(size: u64, permit: Permit) -> Self {
        Self { data: Vec::new(), size: usize::try_from(size).unwrap_or(usize::MAX), permit }
    }

    /// Sets aside memory for `bytes` at once instead of growing there; untouched pages cost nothing.
    pub(super) fn reserve(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.size);
        self.data.reserve_exact(bytes);
    }

    /// Moves as much of `frame` into the part as it has room for.
    pub(super) fn fill(&mut self, frame: &mut Bytes) {
        let taken = frame.split_to(frame.len().min(self.size - self.data.len()));
        self.data.extend_from_slice(&taken);
    }

    #[cfg(test)]
    fn is_full(&self) -> bool {
        self.data.len() == self.size
    }

    /// The filled part. Its memory returns to the budget with its last clone.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(Part { data: self.data, _permit: self.permit })
    }
}

struct Part {
    data: Vec<u8>,
    _permit: Permit,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const PART: u64 = 16 * UNIT;

    fn layout(length: Option<u64>) -> Layout {
        Layout::new(PART, false, length).unwrap()
    }

    fn filled(mut buffer: PartBuffer) -> Bytes {
        buffer.fill(&mut Bytes::from_static(b"data"));
        buffer.freeze()
    }

    #[tokio::test]
    async fn r13_memory_returns_with_the_last_clone() {
        let budget = Budget::new(64 * UNIT, 4);
        let admission = budget.admit(layout(None)).await.unwrap();
        assert_eq!(budget.free(), 32 * UNIT);
        let parts: Vec<Bytes> = (0..4).map(|_| filled(admission.try_buffer(PART).unwrap())).collect();
        assert_eq!(budget.free(), 0);
        assert!(admission.try_buffer(PART).is_none(), "no memory beyond the budget");
        let clone = parts[3].clone();
        drop(parts);
        assert_eq!(budget.free(), 16 * UNIT, "one part is still held by its clone");
        drop(clone);
        assert_eq!(budget.free(), 32 * UNIT, "the upload keeps what it was admitted with");
        drop(admission);
        assert_eq!(budget.free(), 64 * UNIT);
    }

    #[tokio::test]
    async fn r13_grant_outlives_the_upload_while_a_part_is_held() {
        let budget = Budget::new(32 * UNIT, 4);
        let admission = budget.admit(layout(None)).await.unwrap();
        let part = filled(admission.try_buffer(PART).unwrap());
        drop(admission);
        assert_eq!(budget.free(), 0);
        drop(part);
        assert_eq!(budget.free(), 32 * UNIT);
    }

    #[tokio::test]
    async fn an_upload_holds_at_most_two_more_than_in_flight() {
        let budget = Budget::new(1024 * UNIT, 4);
        let admission = budget.admit(layout(None)).await.unwrap();
        let held: Vec<PartBuffer> = std::iter::from_fn(|| admission.try_buffer(PART)).take(100).collect();
        assert_eq!(held.len(), 6);
    }

    #[tokio::test]
    async fn waits_for_its_own_parts_only() {
        let budget = Budget::new(32 * UNIT, 4);
        let admission = budget.admit(layout(None)).await.unwrap();
        let (one, two) = (admission.own_buffer().await.unwrap(), admission.own_buffer().await.unwrap());
        let mut third = std::pin::pin!(admission.own_buffer());
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(one);
        third.await.unwrap();
        drop(two);
    }

    #[tokio::test]
    async fn small_objects_take_what_they_need() {
        let budget = Budget::new(64 * UNIT, 4);
        let _one = budget.admit(layout(Some(1))).await.unwrap();
        let _none = budget.admit(layout(Some(0))).await.unwrap();
        let _some = budget.admit(layout(Some(2 * UNIT + 1))).await.unwrap();
        assert_eq!(budget.free(), (64 - 1 - 1 - 3) * UNIT);
    }

    #[tokio::test]
    async fn admission_ends_after_its_limit_and_is_fair() {
        let budget = Budget::new(48 * UNIT, 4);
        let first = budget.admit(layout(None)).await.unwrap();
        let error = budget.admit_within(layout(None), Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoMemory);
        assert_eq!(budget.free(), 16 * UNIT, "who gives up keeps nothing");
        let (second, third) = {
            let mut second = std::pin::pin!(budget.admit(layout(None)));
            assert!(futures_util::poll!(&mut second).is_pending());
            assert!(first.try_buffer(PART).is_some(), "its own");
            let mut small = std::pin::pin!(budget.admit(layout(Some(1))));
            assert!(futures_util::poll!(&mut small).is_pending(), "small ones do not overtake for ever");
            drop(first);
            (second.await.unwrap(), small.await.unwrap())
        };
        drop((second, third));
        assert_eq!(budget.free(), 48 * UNIT);
    }

    #[tokio::test]
    async fn one_part_suffices_where_two_do_not_fit() {
        let budget = Budget::new(20 * UNIT, 4);
        let admission = budget.admit(layout(None)).await.unwrap();
        assert_eq!(budget.free(), 4 * UNIT);
        let _part = admission.try_buffer(PART).unwrap();
        assert!(admission.try_buffer(PART).is_none());
        let error = Budget::new(8 * UNIT, 4).admit(layout(None)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoMemory);
    }

    #[tokio::test]
    async fn grown_parts_shrink_to_what_is_free() {
        let budget = Budget::new(112 * UNIT, 4);
        let admission = budget.admit(layout(None)).await.unwrap();
        let buffer = admission.try_buffer(128 * UNIT).unwrap();
        assert_eq!(buffer.size as u64, 64 * UNIT);
        assert_eq!(budget.free(), 32 * UNIT);
        drop(buffer);
        assert_eq!(budget.free(), 80 * UNIT);
    }

    #[tokio::test]
    async fn a_buffer_fills_to_its_size() {
        let budget = Budget::new(8 * UNIT, 1);
        let admission = budget.admit(layout(Some(UNIT))).await.unwrap();
        let mut buffer = admission.try_buffer(UNIT).unwrap();
        let mut frame = Bytes::from(vec![5; UNIT as usize + 3]);
        buffer.reserve(UNIT);
        buffer.fill(&mut frame);
        assert!(buffer.is_full());
        assert_eq!(frame.len(), 3);
        assert_eq!(buffer.freeze().len(), UNIT as usize);
    }
}
