//! Whether the data of an image of Glance is what its record says.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde_json::{Map, Value};

use crate::blobs::{self, Store};
use crate::catalog::adoption::AdoptedObject;
use crate::domain::adoption::Address;
use crate::domain::digest::{Checksum, SecureHash};
use crate::domain::image::Image;
use crate::error::{Error, Result};
use crate::fetch::Target;

use super::super::Flows;
use super::super::location_import::{BATCH, Digests};
use super::place::{Placed, Reason};

/// How data is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// It is there and has its size.
    Size,
    /// It has its digests too: every byte is read.
    Hash,
    /// Not at all.
    None,
}

/// Objects and URLs as they are written down.
type Verified = (Vec<AdoptedObject>, Vec<(String, Value)>);

impl Flows {
    /// Verifies the data of an image at each of its places.
    pub(super) async fn verify_data(
        &self,
        how: Verification,
        image: &Image,
        placed: Vec<Placed>,
    ) -> Result<Result<Verified, Reason>> {
        let (mut objects, mut urls) = (Vec::new(), Vec::new());
        let size = u64::try_from(image.size.unwrap_or_default()).unwrap_or_default();
        for place in placed {
            let refused = match place {
                Placed::Object { store, address, metadata } => {
                    let object = Self::new_object(image, &store, &address, metadata);
                    match self.verify_object(how, image, &store, &address, object, size).await? {
                        Ok(object) => {
                            objects.push(object);
                            continue;
                        }
                        Err(reason) => reason,
                    }
                }
                Placed::Url { target, metadata } => {
                    let url = target.url().to_string();
                    match self.verify_url(how, image, &target, size).await {
                        Ok(()) => {
                            urls.push((url, metadata));
                            continue;
                        }
                        Err(reason) => reason,
                    }
                }
            };
            return Ok(Err(refused));
        }
        Ok(Ok((objects, urls)))
    }

    fn new_object(image: &Image, store: &Store, address: &Address, metadata: Value) -> AdoptedObject {
        AdoptedObject {
            store: store.id.to_string(),
            key: address.key.clone(),
            size: image.size.unwrap_or_default(),
            etag: None,
            digests: recorded(image),
            metadata,
        }
    }

    async fn verify_object(
        &self,
        how: Verification,
        image: &Image,
        store: &Store,
        address: &Address,
        mut object: AdoptedObject,
        size: u64,
    ) -> Result<Result<AdoptedObject, Reason>> {
        if how == Verification::None {
            return Ok(Ok(object));
        }
        let stat = match store.stat(&address.key).await {
            Ok(Some(stat)) => stat,
            Ok(None) => return Ok(Err(format!("{address} is not there"))),
            Err(error) => return refused(address, error).map(Err),
        };
        if stat.size != Some(size) {
            let found = stat.size.map_or_else(|| "an unknown number of".to_owned(), |size| size.to_string());
            return Ok(Err(format!("{address} has {found} bytes instead of {size}")));
        }
        object.etag = stat.etag;
        if how == Verification::Hash {
            let reader = match store.read(&address.key, object.etag.as_deref(), size, 0..size).await {
                Ok(reader) => reader,
                Err(error) => return refused(address, error).map(Err),
            };
            match self.digest_stream(image, reader.into_stream()).await? {
                Ok(found) => match self.compare(image, found) {
                    Ok(digests) => object.digests = digests,
                    Err(name) => return Ok(Err(format!("{address} has another {name} than Glance says"))),
                },
                Err(error) => return refused(address, error).map(Err),
            }
        }
        Ok(Ok(object))
    }

    /// An URL is not ours: whatever is wrong with it is a reason to leave the image out, and none to stop.
    async fn verify_url(
        &self,
        how: Verification,
        image: &Image,
        target: &Target,
        size: u64,
    ) -> Result<(), Reason> {
        let host = target.host();
        let unreadable = || format!("its data at {host} cannot be read");
        match how {
            Verification::None => Ok(()),
            Verification::Size => match self.fetcher.probe(target).await {
                Ok(Some(found)) if found == size => Ok(()),
                Ok(Some(found)) => Err(format!("its data at {host} has {found} bytes instead of {size}")),
                Ok(None) => Err(format!("{host} does not tell the size of its data; verify by hash")),
                Err(_) => Err(unreadable()),
            },
            Verification::Hash => {
                let source = self.fetcher.open(target, size).await.map_err(|_| unreadable())?;
                let found = self.digest_stream(image, source.into_stream()).await;
                let found = found.map_err(|_| unreadable())?.map_err(|_| unreadable())?;
                let same = found.size == size && self.compare(image, found).is_ok();
                if same { Ok(()) } else { Err(format!("its data at {host} is not what Glance says")) }
            }
        }
    }

    /// The digests of a stream: MD5, and the algorithm that Glance used, or that we do where it used none we know.
    async fn digest_stream<E>(
        &self,
        image: &Image,
        stream: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Result<Digests, E>> {
        let hash = SecureHash::claimed(self.algorithm(image))
            .unwrap_or_else(|| SecureHash::new(self.config.images.hash_algorithm));
        let mut digests = Digests { size: 0, checksum: Some(Checksum::default()), hash };
        let mut stream = Box::pin(stream);
        let mut batch = BytesMut::new();
        while let Some(frame) = stream.next().await {
            match frame {
                Ok(frame) => batch.extend_from_slice(&frame),
                Err(error) => return Ok(Err(error)),
            }
            // pieces that are worth a change of threads
            if batch.len() >= BATCH {
                digests = digests.with(batch.split().freeze()).await?;
            }
        }
        digests.with(batch.freeze()).await.map(Ok)
    }

    fn algorithm<'a>(&self, image: &'a Image) -> &'a str {
        let known = |name: &&str| SecureHash::claimed(name).is_some();
        let recorded = image.os_hash_algo.as_deref().filter(|_| image.os_hash_value.is_some());
        recorded.filter(known).unwrap_or(self.config.images.hash_algorithm.as_str())
    }

    /// All digests, if those that Glance knows too are the same; else the name of one that is not.
    fn compare(&self, image: &Image, found: Digests) -> Result<Value, String> {
        let algorithm = self.algorithm(image);
        let found = [
            ("md5", found.checksum.map(Checksum::finish).unwrap_or_default()),
            (algorithm, found.hash.finish()),
        ];
        let mut digests = Map::new();
        for (name, digest) in found {
            let known = if name == algorithm && image.os_hash_algo.as_deref() == Some(algorithm) {
                image.os_hash_value.as_deref()
            } else if name == "md5" {
                image.checksum.as_deref()
            } else {
                None
            };
            if known.is_some_and(|known| !known.eq_ignore_ascii_case(&digest)) {
                return Err(name.to_owned());
            }
            digests.insert(name.to_owned(), digest.into());
        }
        Ok(Value::Object(digests))
    }
}

/// The digests that Glance knows, as the ledger keeps them.
pub(super) fn recorded(image: &Image) -> Value {
    let mut digests = Map::new();
    digests.insert("md5".to_owned(), image.checksum.clone().into());
    if let (Some(algorithm), Some(value)) = (&image.os_hash_algo, &image.os_hash_value) {
        digests.insert(algorithm.clone(), value.clone().into());
    }
    Value::Object(digests)
}

/// What a failure at an object means: a reason to leave its image out, or to stop, where it is the store that fails.
fn refused(address: &Address, error: blobs::Error) -> Result<Reason> {
    match error.kind {
        blobs::ErrorKind::NotFound => Ok(format!("{address} is not there")),
        blobs::ErrorKind::Changed => Ok(format!("{address} is not what its store says, or changes")),
        blobs::ErrorKind::Denied => Ok(format!("the store does not let us read {address}")),
        _ => Err(Error::internal(error)),
    }
}
