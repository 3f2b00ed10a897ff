//! Reading a body to its end across broken connections, without ever mixing the bytes of two versions.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use reqwest::{Method, Response, StatusCode};
use tokio::time::{Instant, sleep, timeout};

use super::client::{Fetcher, Resume, is_encoded, verdict};
use super::error::{FetchError, FetchErrorKind as Kind};
use super::target::Target;
use super::validator::{ContentRange, Validator};

/// The plain bytes of a source, in order, each exactly once.
pub struct Source {
    fetcher: Fetcher,
    target: Target,
    size: Option<u64>,
    max_bytes: u64,
    validator: Option<Validator>,
    /// Whether the rest may be asked for without a validator.
    proven: bool,
    state: State,
    offset: u64,
    tries: u32,
    waited: Duration,
}

enum State {
    Open(Response),
    /// The connection broke; the rest is still to come.
    Cut,
    Ended,
    Failed(FetchError),
}

/// What one read brought.
enum Step {
    Data(Bytes),
    End,
    Cut,
}

impl Source {
    pub(super) fn new(
        fetcher: Fetcher,
        target: Target,
        response: Response,
        max_bytes: u64,
    ) -> Result<Self, FetchError> {
        let size = response.content_length();
        if size.is_some_and(|size| size > max_bytes) {
            return Err(Kind::TooLarge.into());
        }
        let validator = Validator::of(response.headers());
        let state = State::Open(response);
        Ok(Self {
            fetcher,
            target,
            size,
            max_bytes,
            validator,
            proven: false,
            state,
            offset: 0,
            tries: 0,
            waited: Duration::ZERO,
        })
    }

    /// Goes on after a break also where the source gives no validator, as the reader proves the whole by a digest.
    #[must_use]
    pub(super) fn proven(mut self) -> Self {
        self.proven = true;
        self
    }

    /// Length of the whole body in bytes, where the source told it. A body of another length is an error. Where
    /// it is neither told nor chunked, the close of the connection is the end, as HTTP/1.0 has it.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next bytes, never empty; `None` at the end. An error is final: further calls repeat it.
    ///
    /// # Errors
    /// See [`Kind`]. On [`FetchError::retryable`] ones the caller may throw away what it has and open the source
    /// anew.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            let step = match &self.state {
                State::Ended => return Ok(None),
                State::Failed(error) => return Err(error.clone()),
                State::Cut => self.reopen().await.map(|()| None),
                State::Open(_) => self.read().await.and_then(|step| self.advance(step)),
            };
            match step {
                Ok(None) => {}
                Ok(Some(data)) => return Ok(Some(data)),
                Err(error) => self.state = State::Failed(error),
            }
        }
    }

    /// The body as a stream that ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, FetchError>> + Send {
        try_unfold(self, async |mut source| Ok(source.chunk().await?.map(|data| (data, source))))
    }

    async fn read(&mut self) -> Result<Step, FetchError> {
        let limit = self.patience()?;
        let State::Open(response) = &mut self.state else { return Ok(Step::Cut) };
        let start = Instant::now();
        let read = timeout(limit, response.chunk()).await;
        self.waited += start.elapsed();
        match read {
            Ok(Ok(Some(data))) => Ok(Step::Data(data)),
            Ok(Ok(None)) => Ok(Step::End),
            Ok(Err(_)) => Ok(Step::Cut),
            Err(_) => Err(Kind::Stalled.into()),
        }
    }

    fn advance(&mut self, step: Step) -> Result<Option<Bytes>, FetchError> {
        match step {
            Step::Data(data) if data.is_empty() => Ok(None),
            Step::Data(data) => self.accept(data).map(Some),
            Step::End if self.size.is_none_or(|size| size == self.offset) => {
                self.state = State::Ended;
                Ok(None)
            }
            Step::End | Step::Cut => {
                self.state = State::Cut;
                Ok(None)
            }
        }
    }

    fn accept(&mut self, data: Bytes) -> Result<Bytes, FetchError> {
        let end = self.offset.saturating_add(data.len() as u64);
        if self.size.is_some_and(|size| end > size) {
            return Err(Kind::Broken.into());
        }
        if end > self.max_bytes {
            return Err(Kind::TooLarge.into());
        }
        self.offset = end;
        self.tries = 0;
        Ok(data)
    }

    /// Asks for the rest of a body that broke off. Success means to look again, not that there is an answer.
    async fn reopen(&mut self) -> Result<(), FetchError> {
        let can_resume = self.offset == 0 || self.validator.is_some() || self.proven;
        if self.tries >= self.fetcher.limits().tries || !can_resume {
            return Err(Kind::Broken.into());
        }
        let pause =
            self.fetcher.limits().backoff.saturating_mul(1 << self.tries.min(16)).min(self.patience()?);
        self.tries += 1;
        sleep(pause).await;
        self.waited += pause;
        let limit = self.patience()?;
        let start = Instant::now();
        let answer = timeout(limit, self.ask()).await;
        self.waited += start.elapsed();
        match answer {
            Ok(Ok(response)) => self.state = State::Open(response),
            Ok(Err(error)) if lasts(&error) => return Err(error),
            Ok(Err(_)) => {}
            Err(_) => return Err(Kind::Stalled.into()),
        }
        Ok(())
    }

    async fn ask(&mut self) -> Result<Response, FetchError> {
        let offset = self.offset;
        let resume = (offset > 0).then_some(Resume { offset, validator: self.validator.as_ref() });
        // From the start, not from where a redirect led last: such targets are often signed for a short time.
        let response = self.fetcher.request(Method::GET, &self.target, resume).await?;
        if offset == 0 { self.judge_again(&response) } else { self.judge_rest(&response) }?;
        Ok(response)
    }

    /// Nothing was handed out yet, so another version will do, as long as what the caller knows stays true.
    fn judge_again(&mut self, response: &Response) -> Result<(), Kind> {
        verdict(response)?;
        if response.content_length() != self.size {
            return Err(Kind::Changed);
        }
        self.validator = Validator::of(response.headers());
        Ok(())
    }

    /// Anything but the missing bytes of the same version would mix two of them.
    fn judge_rest(&mut self, response: &Response) -> Result<(), Kind> {
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED => {
                return Err(Kind::Changed);
            }
            _ => return verdict(response),
        }
        let headers = response.headers();
        let range = ContentRange::of(headers).ok_or(Kind::Changed)?;
        // With its length told the transport guarantees that this piece holds neither less nor more.
        let exact = response.content_length() == Some(range.last - range.first + 1);
        let same = self.validator.as_ref().map_or(self.proven, |validator| validator.matches(headers));
        let fits = range.first == self.offset && self.size.is_none_or(|size| size == range.total);
        if !(exact && same && fits) || is_encoded(headers) {
            return Err(Kind::Changed);
        }
        if range.total > self.max_bytes {
            return Err(Kind::TooLarge);
        }
        self.size = Some(range.total);
        Ok(())
    }

    /// How long the next wait may be; see [`super::Limits`].
    fn patience(&self) -> Result<Duration, FetchError> {
        let limits = self.fetcher.limits();
        let earned = Duration::from_secs(self.offset / limits.floor.max(1));
        let left = limits.slack.saturating_add(earned).min(limits.total).saturating_sub(self.waited);
        if left.is_zero() { Err(Kind::Stalled.into()) } else { Ok(left.min(limits.idle)) }
    }
}

/// Whether asking again for the rest is pointless.
fn lasts(error: &FetchError) -> bool {
    error.kind() == Kind::Changed || !error.retryable()
}
