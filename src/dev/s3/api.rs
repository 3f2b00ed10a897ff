//! The S3 operations an image service needs, over [`Files`]. All others answer `NotImplemented`.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_smithy_types::base64;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use s3s::checksum::ChecksumHasher;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, TrailingHeaders, s3_error};
use tokio::io::AsyncWriteExt;

use super::conditions::{check_read, condition};
use super::content::{Content, Draft};
use super::copies::{copy_range, source};
use super::files::{Attributes, Files, MAX_PART, Object as Stored, internal};

/// Entries of one page of any list, unless the client wants fewer.
const PAGE: usize = 1000;

/// The store as the protocol sees it.
#[derive(Debug, Clone)]
pub(super) struct Api {
    files: Arc<Files>,
}

impl Api {
    pub(super) fn new(files: Files) -> Self {
        Self { files: Arc::new(files) }
    }

    /// Runs `work` on a blocking thread; it ends even if the client goes away.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let files = Arc::clone(&self.files);
        tokio::task::spawn_blocking(move || work(&files)).await.map_err(internal)?
    }

    /// Writes a body to a new draft and checks it against what the client says about it.
    async fn receive(
        &self,
        bucket: &str,
        body: Option<StreamingBlob>,
        claims: Claims,
    ) -> S3Result<(Draft, Content)> {
        let draft = self.files.draft(bucket)?;
        let mut file = tokio::fs::File::create_new(&draft.path).await.map_err(internal)?;
        let mut content = Content::default();
        let mut sums = claims.hasher();
        if let Some(mut body) = body {
            while let Some(chunk) = body.next().await {
                let chunk =
                    chunk.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
                content.update(&chunk);
                sums.update(&chunk);
                file.write_all(&chunk).await.map_err(internal)?;
            }
        }
        file.flush().await.map_err(internal)?;
        claims.check(&content, &sums.finalize())?;
        Ok((draft, content))
    }
}

/// What a client says about a body.
struct Claims {
    length: Option<i64>,
    md5: Option<String>,
    sums: Checksum,
    algorithm: Option<ChecksumAlgorithm>,
    trailers: Option<TrailingHeaders>,
}

impl Claims {
    fn hasher(&self) -> ChecksumHasher {
        let named = |name: &str| self.algorithm.as_ref().is_some_and(|algorithm| algorithm.as_str() == name);
        let mut hasher = ChecksumHasher::default();
        if self.sums.checksum_crc32.is_some() || named(ChecksumAlgorithm::CRC32) {
            hasher.crc32 = Some(Default::default());
        }
        if self.sums.checksum_crc32c.is_some() || named(ChecksumAlgorithm::CRC32C) {
            hasher.crc32c = Some(Default::default());
        }
        if self.sums.checksum_sha1.is_some() || named(ChecksumAlgorithm::SHA1) {
            hasher.sha1 = Some(Default::default());
        }
        if self.sums.checksum_sha256.is_some() || named(ChecksumAlgorithm::SHA256) {
            hasher.sha256 = Some(Default::default());
        }
        if self.sums.checksum_crc64nvme.is_some() || named(ChecksumAlgorithm::CRC64NVME) {
            hasher.crc64nvme = Some(Default::default());
        }
        hasher
    }

    fn check(&self, content: &Content, found: &Checksum) -> S3Result<()> {
        if self.length.is_some_and(|length| u64::try_from(length) != Ok(content.size)) {
            return Err(s3_error!(IncompleteBody));
        }
        if self.md5.as_ref().is_some_and(|md5| *md5 != base64::encode(content.md5())) {
            return Err(s3_error!(BadDigest));
        }
        let trailers = self.trailers.as_ref().and_then(TrailingHeaders::take).unwrap_or_default();
        let trailer =
            |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let pairs = [
            (&self.sums.checksum_crc32, "x-amz-checksum-crc32", &found.checksum_crc32),
            (&self.sums.checksum_crc32c, "x-amz-checksum-crc32c", &found.checksum_crc32c),
            (&self.sums.checksum_sha1, "x-amz-checksum-sha1", &found.checksum_sha1),
            (&self.sums.checksum_sha256, "x-amz-checksum-sha256", &found.checksum_sha256),
            (&self.sums.checksum_crc64nvme, "x-amz-checksum-crc64nvme", &found.checksum_crc64nvme),
        ];
        let wrong = |(header, name, found): &(&Option<String>, &str, &Option<String>)| {
            let claimed = (*header).clone().or_else(|| trailer(name));
            claimed.is_some_and(|claimed| Some(&claimed) != found.as_ref())
        };
        if pairs.iter().any(wrong) { Err(s3_error!(BadDigest)) } else { Ok(()) }
    }
}

/// Takes the claims out of a request that carries a body.
macro_rules! claims {
    ($request:expr) => {
        Claims {
            length: $request.input.content_length,
            md5: $request.input.content_md5.clone(),
            sums: Checksum {
                checksum_crc32: $request.input.checksum_crc32.clone(),
                checksum_crc32c: $request.input.checksum_crc32c.clone(),
                checksum_crc64nvme: $request.input.checksum_crc64nvme.clone(),
                checksum_sha1: $request.input.checksum_sha1.clone(),
                checksum_sha256: $request.input.checksum_sha256.clone(),
                checksum_type: None,
            },
            algorithm: $request.input.checksum_algorithm.clone(),
            trailers: $request.trailing_headers.clone(),
        }
    };
}

fn answer<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

fn etag(text: String) -> Option<ETag> {
    Some(ETag::Strong(text))
}

fn attributes(content_type: Option<String>, metadata: Option<Metadata>) -> Attributes {
    Attributes { content_type, metadata: metadata.unwrap_or_default().into_iter().collect() }
}

fn check_part_number(number: i32) -> S3Result<()> {
    if (1..=MAX_PART).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be between 1 and 10000, inclusive"))
}

fn length(bytes: u64) -> S3Result<i64> {
    i64::try_from(bytes).map_err(internal)
}

fn page_size(wanted: Option<i32>) -> S3Result<usize> {
    let wanted = wanted.map_or(Ok(PAGE), usize::try_from).map_err(|_| s3_error!(InvalidArgument))?;
    Ok(wanted.min(PAGE))
}

#[async_trait::async_trait]
impl S3 for Api {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.run(move |files| files.create_bucket(&req.input.bucket)).await?;
        answer(CreateBucketOutput::default())
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.run(move |files| files.delete_bucket(&req.input.bucket)).await?;
        answer(DeleteBucketOutput::default())
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.files.bucket(&req.input.bucket)?;
        answer(HeadBucketOutput::default())
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.files.bucket(&req.input.bucket)?;
        answer(GetBucketLocationOutput::default())
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.run(|files| files.buckets().map_err(internal)).await?;
        let bucket = |(name, created)| Bucket {
            name: Some(name),
            creation_date: Some(Timestamp::from(created)),
            ..Default::default()
        };
        let buckets = buckets.into_iter().map(bucket).collect();
        answer(ListBucketsOutput { buckets: Some(buckets), ..Default::default() })
    }

    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let condition = condition(req.input.if_match.take(), req.input.if_none_match.as_ref())?;
        let claims = claims!(req);
        let PutObjectInput { body, bucket, key, content_type, metadata, .. } = req.input;
        let attributes = attributes(content_type, metadata);
        let (draft, content) = self.receive(&bucket, body, claims).await?;
        let e_tag = etag(content.etag());
        self.run(move |files| files.put(&bucket, &key, draft, &content, attributes, &condition)).await?;
        answer(PutObjectOutput { e_tag, ..Default::default() })
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, if_match, if_none_match, part_number, .. } = req.input;
        if part_number.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let opened = self.run(move |files| {
            let object = files.object(&bucket, &key)?;
            check_read(&object, if_match.as_ref(), if_none_match.as_ref())?;
            let span = range.map_or(Ok(0..object.size), |range| range.check(object.size))?;
            let reader = files.reader(&bucket, &object, span.clone())?;
            Ok((object, range.map(|_| span.clone()), span.end - span.start, reader))
        });
        let (object, part, size, reader) = opened.await?;
        let body = stream::try_unfold(reader, |mut reader| async {
            let next = tokio::task::spawn_blocking(move || {
                let chunk = reader.next()?;
                Ok::<_, std::io::Error>(chunk.map(|chunk| (Bytes::from(chunk), reader)))
            });
            next.await.map_err(std::io::Error::other)?
        });
        answer(GetObjectOutput {
            body: Some(StreamingBlob::wrap(body)),
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length(size)?),
            content_range: part.map(|p| format!("bytes {}-{}/{}", p.start, p.end - 1, object.size)),
            content_type: object.attributes.content_type,
            metadata: Some(object.attributes.metadata.into_iter().collect()),
            last_modified: Some(Timestamp::from(object.modified)),
            e_tag: etag(object.etag),
            ..Default::default()
        })
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let HeadObjectInput { bucket, key, if_match, if_none_match, .. } = req.input;
        let object = self.run(move |files| files.object(&bucket, &key)).await?;
        check_read(&object, if_match.as_ref(), if_none_match.as_ref())?;
        answer(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length(object.size)?),
            content_type: object.attributes.content_type,
            metadata: Some(object.attributes.metadata.into_iter().collect()),
            last_modified: Some(Timestamp::from(object.modified)),
            e_tag: etag(object.etag),
            ..Default::default()
        })
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let CopyObjectInput { bucket, key, copy_source, copy_source_if_match: if_match, .. } = req.input;
        let CopyObjectInput { metadata_directive, content_type, metadata, .. } = req.input;
        let (from, from_key) = source(&copy_source)?;
        let check = move |object: &Stored| check_read(object, if_match.as_ref(), None);
        let replace = metadata_directive.is_some_and(|word| word.as_str() == MetadataDirective::REPLACE);
        let attributes = replace.then(|| attributes(content_type, metadata));
        let object =
            self.run(move |files| files.copy((&from, &from_key), check, (&bucket, &key), attributes)).await?;
        let copy_object_result = Some(CopyObjectResult {
            e_tag: etag(object.etag),
            last_modified: Some(Timestamp::from(object.modified)),
            ..Default::default()
        });
        answer(CopyObjectOutput { copy_object_result, ..Default::default() })
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.run(move |files| files.delete(&req.input.bucket, &req.input.key)).await?;
        answer(DeleteObjectOutput::default())
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        if delete.objects.len() > PAGE {
            return Err(s3_error!(MalformedXML));
        }
        let quiet = delete.quiet.unwrap_or(false);
        let deleted = self.run(move |files| {
            files.bucket(&bucket)?;
            let remove = |object: ObjectIdentifier| {
                files.delete(&bucket, &object.key)?;
                Ok(DeletedObject { key: Some(object.key), ..Default::default() })
            };
            delete.objects.into_iter().map(remove).collect::<S3Result<Vec<_>>>()
        });
        let deleted = deleted.await?;
        answer(DeleteObjectsOutput { deleted: (!quiet).then_some(deleted), ..Default::default() })
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.run(move |files| list_objects(files, req.input)).await.and_then(answer)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, content_type, metadata, .. } = req.input;
        let attributes = attributes(content_type, metadata);
        let (name, object) = (bucket.clone(), key.clone());
        let id = self.run(move |files| files.start_upload(&name, &object, attributes)).await?;
        answer(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id.to_string()),
            ..Default::default()
        })
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let claims = claims!(req);
        let UploadPartInput { body, bucket, key, upload_id, part_number, .. } = req.input;
        check_part_number(part_number)?;
        self.files.upload(&bucket, &key, &upload_id)?;
        let (draft, content) = self.receive(&bucket, body, claims).await?;
        let e_tag = etag(content.etag());
        self.run(move |files| files.put_part(&bucket, &key, &upload_id, part_number, draft, &content))
            .await?;
        answer(UploadPartOutput { e_tag, ..Default::default() })
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let UploadPartCopyInput { bucket, key, upload_id, part_number, copy_source, .. } = req.input;
        let UploadPartCopyInput { copy_source_range, copy_source_if_match: if_match, .. } = req.input;
        let (from, from_key) = source(&copy_source)?;
        check_part_number(part_number)?;
        let range = copy_range(copy_source_range.as_deref())?;
        let span = move |object: &Stored| {
            check_read(object, if_match.as_ref(), None)?;
            range(object.size)
        };
        let copied = self.run(move |files| {
            files.copy_part((&from, &from_key), span, (&bucket, &key), &upload_id, part_number)
        });
        let e_tag = etag(copied.await?);
        let copy_part_result = Some(CopyPartResult { e_tag, ..Default::default() });
        answer(UploadPartCopyOutput { copy_part_result, ..Default::default() })
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let ListPartsInput { bucket, key, upload_id, max_parts, part_number_marker, .. } = req.input;
        let limit = page_size(max_parts)?;
        let (name, object, id) = (bucket.clone(), key.clone(), upload_id.clone());
        let mut found = self.run(move |files| files.parts(&name, &object, &id)).await?;
        found.retain(|part| part.number > part_number_marker.unwrap_or(0));
        let is_truncated = found.len() > limit;
        found.truncate(limit);
        let part = |part: &super::files::Part| {
            Ok(Part {
                part_number: Some(part.number),
                e_tag: etag(part.etag.clone()),
                size: Some(length(part.size)?),
                last_modified: Some(Timestamp::from(part.modified)),
                ..Default::default()
            })
        };
        answer(ListPartsOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(upload_id),
            max_parts: i32::try_from(limit).ok(),
            part_number_marker,
            is_truncated: Some(is_truncated),
            next_part_number_marker: found.last().map(|part| part.number),
            parts: Some(found.iter().map(part).collect::<S3Result<_>>()?),
            ..Default::default()
        })
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let ListMultipartUploadsInput {
            bucket,
            delimiter,
            prefix,
            max_uploads,
            key_marker,
            upload_id_marker,
            ..
        } = req.input;
        if delimiter.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let limit = page_size(max_uploads)?;
        let (name, start) = (bucket.clone(), prefix.clone().unwrap_or_default());
        let mut found = self.run(move |files| files.uploads(&name, &start)).await?;
        if let Some(marker) = &key_marker {
            let id = upload_id_marker.as_deref().unwrap_or_default();
            // uploads of one key are in order of age, so those up to the named one are passed over
            let seen = found.iter().position(|upload| upload.key == *marker && upload.id.to_string() == id);
            let from = seen.map_or_else(|| found.partition_point(|upload| upload.key <= *marker), |i| i + 1);
            found.drain(..from);
        }
        let is_truncated = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| is_truncated);
        answer(ListMultipartUploadsOutput {
            bucket: Some(bucket),
            prefix,
            key_marker,
            upload_id_marker,
            max_uploads: i32::try_from(limit).ok(),
            is_truncated: Some(is_truncated),
            next_key_marker: last.map(|upload| upload.key.clone()),
            next_upload_id_marker: last.map(|upload| upload.id.to_string()),
            uploads: Some(
                found
                    .iter()
                    .map(|upload| MultipartUpload {
                        key: Some(upload.key.clone()),
                        upload_id: Some(upload.id.to_string()),
                        initiated: Some(Timestamp::from(upload.initiated)),
                        ..Default::default()
                    })
                    .collect(),
            ),
            ..Default::default()
        })
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let CompleteMultipartUploadInput {
            bucket,
            key,
            upload_id,
            multipart_upload,
            if_match,
            if_none_match,
            ..
        } = req.input;
        let condition = condition(if_match, if_none_match.as_ref())?;
        let parts = multipart_upload.and_then(|list| list.parts).unwrap_or_default();
        let part = |part: CompletedPart| Some((part.part_number?, part.e_tag?.into_value()));
        let parts: Option<Vec<_>> = parts.into_iter().map(part).collect();
        let parts = parts.ok_or_else(|| s3_error!(MalformedXML))?;
        let (name, object) = (bucket.clone(), key.clone());
        let e_tag =
            self.run(move |files| files.complete(&name, &object, &upload_id, &parts, &condition)).await?;
        answer(CompleteMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            e_tag: etag(e_tag),
            ..Default::default()
        })
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = req.input;
        self.run(move |files| files.abort(&bucket, &key, &upload_id)).await?;
        answer(AbortMultipartUploadOutput::default())
    }
}

/// One page of keys and of what they have in common up to the delimiter, in byte order.
fn list_objects(files: &Files, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    let limit = page_size(input.max_keys)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.continuation_token.clone().or_else(|| input.start_after.clone());
    let (mut contents, mut common) = (Vec::new(), BTreeSet::new());
    let (mut last, mut is_truncated) = (None, false);
    for key in files.keys(&input.bucket, &prefix)? {
        let group =
            input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()).and_then(|delimiter| {
                let end = key[prefix.len()..].find(delimiter)? + prefix.len() + delimiter.len();
                Some(key[..end].to_owned())
            });
        let entry = group.as_ref().unwrap_or(&key);
        if after.as_ref().is_some_and(|after| entry <= after) || common.contains(entry) {
            continue;
        }
        if contents.len() + common.len() == limit {
            is_truncated = limit > 0;
            break;
        }
        last = Some(entry.clone());
        match group {
            Some(group) => _ = common.insert(group),
            // gone since the names were read: not there
            None => {
                contents.extend(files.object(&input.bucket, &key).ok().map(|object| entry_of(key, object)));
            }
        }
    }
    let common_prefixes = common.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) });
    Ok(ListObjectsV2Output {
        key_count: i32::try_from(contents.len() + common_prefixes.len()).ok(),
        max_keys: i32::try_from(limit).ok(),
        is_truncated: Some(is_truncated),
        next_continuation_token: last.filter(|_| is_truncated),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes.collect()),
        name: Some(input.bucket),
        prefix: input.prefix,
        delimiter: input.delimiter,
        start_after: input.start_after,
        continuation_token: input.continuation_token,
        ..Default::default()
    })
}

fn entry_of(key: String, object: Stored) -> Object {
    Object {
        key: Some(key),
        size: i64::try_from(object.size).ok(),
        last_modified: Some(Timestamp::from(object.modified)),
        e_tag: etag(object.etag),
        ..Default::default()
    }
}
