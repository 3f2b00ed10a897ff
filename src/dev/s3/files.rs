//! Buckets, objects and multipart uploads as plain files. Blocking; callers run it on blocking threads.
//!
//! ```text
//! <bucket>/objects/<key, percent-encoded>   record of an object; its rename into place makes the object visible
//! <bucket>/uploads/<upload id>              record of an open multipart upload
//! <bucket>/data/<id>/<part>-<md5>           content, never changed once named
//! <bucket>/tmp/                             what is being written
//! ```
//! An object is a list of content files, so completing an upload copies nothing: its parts become the object's.
//! Whatever is interrupted leaves at most content without a record, which the next start removes.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use s3s::{S3Result, s3_error};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::content::{Content, Draft, Reader};

/// What stays readable in file names; the dot is not among them because of `.` and `..`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
/// Longest file name of common file systems.
const NAME_LIMIT: usize = 255;
/// All parts of an upload but the last must have this size.
const MIN_PART: u64 = 5 << 20;
/// Largest part number.
pub(super) const MAX_PART: i32 = 10_000;

/// What a client says about an object besides its content.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Attributes {
    pub(super) content_type: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// An object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) size: u64,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) attributes: Attributes,
    /// Directory of the content.
    data: Uuid,
    /// Name and size of each content file, in order.
    segments: Vec<(String, u64)>,
    /// When the object became visible.
    #[serde(skip, default = "epoch")]
    pub(super) modified: SystemTime,
}

/// An open multipart upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) key: String,
    attributes: Attributes,
    #[serde(skip)]
    pub(super) id: Uuid,
    #[serde(skip, default = "epoch")]
    pub(super) initiated: SystemTime,
}

/// An uploaded part.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) number: i32,
    pub(super) etag: String,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    name: String,
}

/// The condition of a conditional write.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    /// Only if there is no such object.
    pub(super) absent: bool,
    /// Only if the object has this ETag; an empty one means any.
    pub(super) etag: Option<String>,
}

/// The whole store under one directory.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// Held while records change, so that conditions and what follows from them are one step.
    records: Mutex<()>,
}

fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH
}

impl Files {
    /// Opens the store and clears what an interrupted process left.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let files = Self { root: root.canonicalize()?, records: Mutex::new(()) };
        for (bucket, _) in files.buckets()? {
            files.clear_orphans(&bucket)?;
        }
        Ok(files)
    }

    /// Names and creation times of all buckets.
    pub(super) fn buckets(&self) -> io::Result<Vec<(String, SystemTime)>> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.path().join("objects").is_dir() {
                let name = entry.file_name().to_string_lossy().into_owned();
                buckets.push((name, fs::metadata(entry.path().join("tmp"))?.modified()?));
            }
        }
        buckets.sort();
        Ok(buckets)
    }

    pub(super) fn create_bucket(&self, bucket: &str) -> S3Result<()> {
        let _records = self.lock();
        if self.bucket(bucket).is_ok() {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        // `objects` comes last: it is what makes the directory a bucket
        for part in ["tmp", "data", "uploads", "objects"] {
            fs::create_dir_all(self.root.join(bucket).join(part)).map_err(internal)?;
        }
        Ok(())
    }

    pub(super) fn delete_bucket(&self, bucket: &str) -> S3Result<()> {
        let _records = self.lock();
        let dir = self.bucket(bucket)?;
        if fs::read_dir(dir.join("objects")).map_err(internal)?.next().is_some() {
            return Err(s3_error!(BucketNotEmpty));
        }
        fs::remove_dir_all(dir).map_err(internal)
    }

    /// Directory of an existing bucket.
    pub(super) fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let dir = self.root.join(bucket);
        if dir.join("objects").is_dir() { Ok(dir) } else { Err(s3_error!(NoSuchBucket)) }
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let record = self.bucket(bucket)?.join("objects").join(file_name(key)?);
        let (mut object, modified): (Object, _) = load(&record)?.ok_or_else(|| s3_error!(NoSuchKey))?;
        object.modified = modified;
        Ok(object)
    }

    /// All keys from `prefix` on, in byte order.
    pub(super) fn keys(&self, bucket: &str, prefix: &str) -> S3Result<Vec<String>> {
        let mut keys = Vec::new();
        for entry in fs::read_dir(self.bucket(bucket)?.join("objects")).map_err(internal)? {
            let name = entry.map_err(internal)?.file_name();
            let key = percent_decode_str(&name.to_string_lossy()).decode_utf8_lossy().into_owned();
            if key.starts_with(prefix) {
                keys.push(key);
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// A new file to write content to.
    pub(super) fn draft(&self, bucket: &str) -> S3Result<Draft> {
        Ok(Draft { path: self.bucket(bucket)?.join("tmp").join(Uuid::new_v4().to_string()) })
    }

    /// Makes a written draft an object of its own.
    pub(super) fn put(
        &self,
        bucket: &str,
        key: &str,
        draft: Draft,
        content: &Content,
        attributes: Attributes,
        condition: &Condition,
    ) -> S3Result<()> {
        let (name, data) = (part_name(1, &content.etag()), Uuid::new_v4());
        let object = Object {
            size: content.size,
            etag: content.etag(),
            attributes,
            data,
            segments: vec![(name.clone(), content.size)],
            modified: epoch(),
        };
        let _records = self.lock();
        self.check(bucket, key, condition)?;
        let dir = self.bucket(bucket)?.join("data").join(data.to_string());
        fs::create_dir(&dir).map_err(internal)?;
        draft.publish(&dir.join(name))?;
        self.store(bucket, key, &object)
    }

    /// Copies an object that passes `check`, by linking its content.
    pub(super) fn copy(
        &self,
        (from, from_key): (&str, &str),
        check: impl FnOnce(&Object) -> S3Result<()>,
        (to, to_key): (&str, &str),
        attributes: Option<Attributes>,
    ) -> S3Result<Object> {
        let _records = self.lock();
        let mut object = self.object(from, from_key)?;
        check(&object)?;
        let old = self.data_dir(from, &object)?;
        object.data = Uuid::new_v4();
        object.attributes = attributes.unwrap_or(object.attributes);
        let new = self.data_dir(to, &object)?;
        fs::create_dir(&new).map_err(internal)?;
        for (name, _) in &object.segments {
            fs::hard_link(old.join(name), new.join(name)).map_err(internal)?;
        }
        self.store(to, to_key, &object)?;
        self.object(to, to_key)
    }

    /// Deletes an object; one that does not exist is as good as deleted.
    pub(super) fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let _records = self.lock();
        match self.object(bucket, key) {
            Ok(object) => {
                fs::remove_file(self.bucket(bucket)?.join("objects").join(file_name(key)?))
                    .map_err(internal)?;
                fs::remove_dir_all(self.data_dir(bucket, &object)?).map_err(internal)
            }
            Err(error) if *error.code() == s3s::S3ErrorCode::NoSuchKey => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn start_upload(&self, bucket: &str, key: &str, attributes: Attributes) -> S3Result<Uuid> {
        file_name(key)?;
        let id = Uuid::new_v4();
        let upload = Upload { key: key.to_owned(), attributes, id, initiated: epoch() };
        let dir = self.bucket(bucket)?;
        let _records = self.lock();
        fs::create_dir(dir.join("data").join(id.to_string())).map_err(internal)?;
        save(&dir, &dir.join("uploads").join(id.to_string()), &upload)?;
        Ok(id)
    }

    /// The open upload `id`, which must be one for `key`.
    pub(super) fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<Upload> {
        let unknown = || s3_error!(NoSuchUpload, "The specified multipart upload does not exist.");
        let id = Uuid::parse_str(id).map_err(|_| unknown())?;
        let upload = self.read_upload(&self.bucket(bucket)?, id)?;
        upload.filter(|upload| upload.key == key).ok_or_else(unknown)
    }

    /// All open uploads with keys from `prefix` on, by key and age.
    pub(super) fn uploads(&self, bucket: &str, prefix: &str) -> S3Result<Vec<Upload>> {
        let dir = self.bucket(bucket)?;
        let mut uploads = Vec::new();
        for entry in fs::read_dir(dir.join("uploads")).map_err(internal)? {
            let name = entry.map_err(internal)?.file_name();
            let id = Uuid::parse_str(&name.to_string_lossy()).map_err(internal)?;
            uploads.extend(self.read_upload(&dir, id)?);
        }
        uploads.retain(|upload| upload.key.starts_with(prefix));
        uploads.sort_by(|a, b| (&a.key, a.initiated, a.id).cmp(&(&b.key, b.initiated, b.id)));
        Ok(uploads)
    }

    /// Makes a written draft part `number` of an upload, replacing an earlier one.
    pub(super) fn put_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: i32,
        draft: Draft,
        content: &Content,
    ) -> S3Result<()> {
        let _records = self.lock();
        let upload = self.upload(bucket, key, id)?;
        let dir = self.bucket(bucket)?.join("data").join(upload.id.to_string());
        let name = part_name(number, &content.etag());
        for old in list_parts(&dir)?.iter().filter(|part| part.number == number && part.name != name) {
            fs::remove_file(dir.join(&old.name)).map_err(internal)?;
        }
        draft.publish(&dir.join(name))
    }

    /// Makes `range` of an object part `number` of an upload. Returns the part's ETag.
    pub(super) fn copy_part(
        &self,
        (from, from_key): (&str, &str),
        range: impl FnOnce(&Object) -> S3Result<std::ops::Range<u64>>,
        (bucket, key): (&str, &str),
        id: &str,
        number: i32,
    ) -> S3Result<String> {
        self.upload(bucket, key, id)?;
        let object = self.object(from, from_key)?;
        let range = range(&object)?;
        let draft = self.draft(bucket)?;
        let mut file = File::create_new(&draft.path).map_err(internal)?;
        let mut content = Content::default();
        let mut reader = self.reader(from, &object, range)?;
        while let Some(chunk) = reader.next().map_err(internal)? {
            content.update(&chunk);
            file.write_all(&chunk).map_err(internal)?;
        }
        self.put_part(bucket, key, id, number, draft, &content)?;
        Ok(content.etag())
    }

    /// Parts of an open upload by number.
    pub(super) fn parts(&self, bucket: &str, key: &str, id: &str) -> S3Result<Vec<Part>> {
        let upload = self.upload(bucket, key, id)?;
        list_parts(&self.bucket(bucket)?.join("data").join(upload.id.to_string()))
    }

    /// Makes the named parts of an upload an object. Returns the object's ETag. After an error the upload is as
    /// it was.
    pub(super) fn complete(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        chosen: &[(i32, String)],
        condition: &Condition,
    ) -> S3Result<String> {
        let _records = self.lock();
        let upload = self.upload(bucket, key, id)?;
        let dir = self.bucket(bucket)?;
        let data = dir.join("data").join(upload.id.to_string());
        let parts = choose_parts(&list_parts(&data)?, chosen)?;
        self.check(bucket, key, condition)?;
        let mut digest = Md5::new();
        for part in &parts {
            digest.update(hex::decode(&part.etag).map_err(internal)?);
        }
        let etag = format!("{}-{}", hex::encode(digest.finalize()), parts.len());
        let object = Object {
            size: parts.iter().map(|part| part.size).sum(),
            etag: etag.clone(),
            attributes: upload.attributes,
            data: upload.id,
            segments: parts.iter().map(|part| (part.name.clone(), part.size)).collect(),
            modified: epoch(),
        };
        self.store(bucket, key, &object)?;
        fs::remove_file(dir.join("uploads").join(upload.id.to_string())).map_err(internal)?;
        let kept: HashSet<_> = parts.iter().map(|part| part.name.as_str()).collect();
        for part in list_parts(&data)?.iter().filter(|part| !kept.contains(part.name.as_str())) {
            fs::remove_file(data.join(&part.name)).map_err(internal)?;
        }
        Ok(etag)
    }

    pub(super) fn abort(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        let _records = self.lock();
        let upload = self.upload(bucket, key, id)?;
        let dir = self.bucket(bucket)?;
        fs::remove_file(dir.join("uploads").join(upload.id.to_string())).map_err(internal)?;
        fs::remove_dir_all(dir.join("data").join(upload.id.to_string())).map_err(internal)
    }

    /// Reads `range` of an object.
    pub(super) fn reader(
        &self,
        bucket: &str,
        object: &Object,
        range: std::ops::Range<u64>,
    ) -> S3Result<Reader> {
        Reader::open(self.data_dir(bucket, object)?, object.segments.clone(), range).map_err(internal)
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data_dir(&self, bucket: &str, object: &Object) -> S3Result<PathBuf> {
        Ok(self.bucket(bucket)?.join("data").join(object.data.to_string()))
    }

    fn read_upload(&self, dir: &Path, id: Uuid) -> S3Result<Option<Upload>> {
        let found: Option<(Upload, _)> = load(&dir.join("uploads").join(id.to_string()))?;
        Ok(found.map(|(upload, initiated)| Upload { id, initiated, ..upload }))
    }

    fn check(&self, bucket: &str, key: &str, condition: &Condition) -> S3Result<()> {
        let existing = match self.object(bucket, key) {
            Ok(object) => Some(object.etag),
            Err(error) if *error.code() == s3s::S3ErrorCode::NoSuchKey => None,
            Err(error) => return Err(error),
        };
        let met = match (&condition.etag, &existing) {
            (None, _) => true,
            (Some(wanted), Some(etag)) => wanted.is_empty() || wanted == etag,
            (Some(_), None) => return Err(s3_error!(NoSuchKey)),
        };
        if met && !(condition.absent && existing.is_some()) {
            Ok(())
        } else {
            Err(s3_error!(PreconditionFailed))
        }
    }

    /// Makes `object` visible under `key` and removes the content of the one that was there.
    fn store(&self, bucket: &str, key: &str, object: &Object) -> S3Result<()> {
        let dir = self.bucket(bucket)?;
        let old = self.object(bucket, key).ok();
        save(&dir, &dir.join("objects").join(file_name(key)?), object)?;
        match old {
            Some(old) => fs::remove_dir_all(self.data_dir(bucket, &old)?).map_err(internal),
            None => Ok(()),
        }
    }

    fn clear_orphans(&self, bucket: &str) -> io::Result<()> {
        let dir = self.root.join(bucket);
        let mut named = HashSet::new();
        for entry in fs::read_dir(dir.join("objects"))? {
            let object: Object = serde_json::from_slice(&fs::read(entry?.path())?)?;
            named.insert(object.data.to_string());
        }
        for entry in fs::read_dir(dir.join("uploads"))? {
            let entry = entry?;
            // completed: the object's record was written, and this one's removal was not reached
            if !named.insert(entry.file_name().to_string_lossy().into_owned()) {
                fs::remove_file(entry.path())?;
            }
        }
        for entry in fs::read_dir(dir.join("data"))? {
            let entry = entry?;
            if !named.contains(&*entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        for entry in fs::read_dir(dir.join("tmp"))? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }
}

pub(super) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> s3s::S3Error {
    s3s::S3Error::internal_error(error)
}

fn file_name(key: &str) -> S3Result<String> {
    let name = utf8_percent_encode(key, ENCODED).to_string();
    if name.len() > NAME_LIMIT { Err(s3_error!(KeyTooLongError)) } else { Ok(name) }
}

fn part_name(number: i32, etag: &str) -> String {
    format!("{number:05}-{etag}")
}

fn list_parts(data: &Path) -> S3Result<Vec<Part>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(data).map_err(internal)? {
        let entry = entry.map_err(internal)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let metadata = entry.metadata().map_err(internal)?;
        if let Some((number, etag)) = name.split_once('-') {
            parts.push(Part {
                number: number.parse().map_err(internal)?,
                etag: etag.to_owned(),
                size: metadata.len(),
                modified: metadata.modified().map_err(internal)?,
                name,
            });
        }
    }
    parts.sort_by_key(|part| part.number);
    Ok(parts)
}

fn choose_parts(uploaded: &[Part], chosen: &[(i32, String)]) -> S3Result<Vec<Part>> {
    if chosen.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    if !chosen.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(s3_error!(InvalidPartOrder));
    }
    let find = |(number, etag): &(i32, String)| {
        uploaded.iter().find(|part| part.number == *number && part.etag == *etag).cloned()
    };
    let parts: Option<Vec<Part>> = chosen.iter().map(find).collect();
    let parts = parts.ok_or_else(|| s3_error!(InvalidPart))?;
    if parts[..parts.len() - 1].iter().any(|part| part.size < MIN_PART) {
        return Err(s3_error!(EntityTooSmall));
    }
    Ok(parts)
}

fn load<T: DeserializeOwned>(record: &Path) -> S3Result<Option<(T, SystemTime)>> {
    let mut file = match File::open(record) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(internal(error)),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(internal)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(internal)?;
    Ok(Some((serde_json::from_slice(&text).map_err(internal)?, modified)))
}

/// Writes a record in one step.
fn save<T: Serialize>(bucket: &Path, record: &Path, value: &T) -> S3Result<()> {
    let draft = Draft { path: bucket.join("tmp").join(Uuid::new_v4().to_string()) };
    fs::write(&draft.path, serde_json::to_vec(value).map_err(internal)?).map_err(internal)?;
    draft.publish(record)
}
