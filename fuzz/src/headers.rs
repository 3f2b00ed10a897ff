//! Headers: the metadata of v1 (images-v1.md §3) and ranges (images-v2.md §13.1, hardening.md A49).
//!
//! Input: a byte to choose by, then a header a line, `name: value`.

use http::{HeaderMap, HeaderName, HeaderValue};
use vitrine::config::{Images, PercentDecode};
use vitrine::domain::image::{Image, Properties, Status};
use vitrine::http::v1::headers::{self, Metadata};
use vitrine::http::{body, range};

use super::{check_properties, check_refusal, check_storable, choice, image};

/// Holds one input against what must be true of all.
pub fn run(data: &[u8]) {
    let Some((flags, data)) = choice(data) else { return };
    let mut sent = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], line[colon + 1..].trim_ascii()),
            None => (line, &b""[..]),
        };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            sent.append(name, value);
        }
    }
    check_range(&sent);
    assert!(body::length(&sent).is_none_or(|length| length == 0) || body::is_present(&sent));
    let decode = if flags & 1 == 0 { PercentDecode::Auto } else { PercentDecode::Off };
    match headers::parse(&sent, decode) {
        Ok(metadata) => check_metadata(metadata),
        Err(error) => check_refusal(&error),
    }
}

fn check_range(sent: &HeaderMap) {
    let wanted = range::parse(sent);
    for size in [0, 1, 10, 1 << 40, i64::MAX.unsigned_abs(), u64::MAX] {
        match wanted.within(size) {
            Ok(None) => {}
            Ok(Some(range)) => assert!(range.start < range.end && range.end <= size, "{range:?} of {size}"),
            Err(error) => check_refusal(&error),
        }
    }
}

fn check_metadata(metadata: Metadata) {
    let Metadata { mut attributes, location, copy_from, store } = metadata;
    let texts = [&attributes.name, &attributes.owner, &attributes.disk_format, &attributes.container_format];
    let texts = texts.into_iter().chain([&attributes.status, &attributes.checksum]).flatten().flatten();
    let sources = [&attributes.id, &location, &copy_from, &store].into_iter().flatten();
    texts.chain(sources).for_each(|text| check_storable(text));
    for number in
        [attributes.min_disk, attributes.min_ram, attributes.size, attributes.virtual_size.flatten()]
    {
        assert!(number.is_none_or(|number| number >= 0), "{number:?}");
    }
    check_properties(&attributes.properties);
    check_rendering(&attributes.properties, attributes.name.clone().flatten());
    let images = Images::default();
    for result in
        [attributes.check_ranges(), attributes.settle(&images.disk_formats, &images.container_formats)]
    {
        if let Err(error) = result {
            check_refusal(&error);
        }
    }
}

/// What is stored can be shown: no value starts a header of its own, and what is shown is taken back.
fn check_rendering(properties: &Properties, name: Option<String>) {
    let image = Image { name, ..image(Status::Active) };
    let shown = headers::render(&image, properties);
    for value in shown.values() {
        assert!(value.as_bytes().iter().all(|byte| !byte.is_ascii_control()), "{value:?}");
    }
    let back =
        headers::parse(&shown, PercentDecode::Off).unwrap_or_else(|error| panic!("{shown:?}: {error:?}"));
    assert_eq!(back.attributes.id, Some(image.id.to_string()));
    assert_eq!(back.attributes.checksum, Some(image.checksum));
}
