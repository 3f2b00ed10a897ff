//! What the data are, against what they are said to be: V2-215 to V2-224, A14 to A17.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use vitrine::config::Config;
use vitrine::domain::inspect::samples::{self, DISK, Sample};

use super::uploads::{assert_empty, file, pattern, until_bucket_is_empty};
use crate::support::api::{ADMIN, Answer, OWNER, Service, new_id};
use crate::support::eventually;
use crate::support::s3::{Fault, FaultyS3};

/// Lets images be declared as every format that is recognised.
fn all_formats(settings: &mut Config) {
    settings.images.disk_formats.extend(["gpt", "luks", "qed"].map(str::to_owned));
}

/// A queued image that says it is of this format; its id.
async fn declared(service: &Service, disk_format: &str) -> String {
    declared_in(service, disk_format, "bare").await
}

/// A queued image that says it is of this format, in this container; its id.
async fn declared_in(service: &Service, disk_format: &str, container_format: &str) -> String {
    let document = json!({ "disk_format": disk_format, "container_format": container_format });
    service.create_id(OWNER, document).await
}

/// Uploads to a new image of this format; the image, and what came of it.
async fn upload(service: &Service, disk_format: &str, data: &[u8]) -> (String, Answer) {
    let id = declared(service, disk_format).await;
    let answer = service.upload(OWNER, &id, data).await;
    (id, answer)
}

/// Asserts that the data are taken; the virtual size.
async fn assert_taken(service: &Service, disk_format: &str, data: &[u8]) -> Value {
    let (id, answer) = upload(service, disk_format, data).await;
    assert_eq!(answer.status, 204, "as {disk_format}: {}", answer.text());
    let image = service.show(OWNER, &id).await;
    assert_eq!((&image["status"], &image["size"]), (&json!("active"), &json!(data.len())));
    image["virtual_size"].clone()
}

/// Asserts that the data are refused for what they are and leave a clean queued image; its id and the answer.
async fn assert_refused(service: &Service, disk_format: &str, data: &[u8]) -> (String, Answer) {
    let (id, answer) = upload(service, disk_format, data).await;
    assert_eq!(answer.status, 415, "as {disk_format}: {}", answer.text());
    assert_empty(&service.show(OWNER, &id).await);
    (id, answer)
}

/// A valid image of a format.
fn valid(disk_format: &str) -> Option<Sample> {
    samples::valid().into_iter().find(|sample| sample.disk_format == disk_format)
}

/// Every row of the hostile samples, under its own declaration and as raw; then a harmless image takes the place.
async fn assert_hostile_are_refused(rows: &str, require_match: bool) {
    let service = Service::start_with(|settings| {
        all_formats(settings);
        settings.images.require_format_match = require_match;
    })
    .await;
    let hostile: Vec<Sample> = samples::hostile().into_iter().filter(|s| s.name.starts_with(rows)).collect();
    assert!(hostile.len() > 10, "{rows}");
    let mut waiting = Vec::new();
    for sample in &hostile {
        for format in [sample.disk_format, "raw"] {
            let (id, answer) = upload(&service, format, &sample.data).await;
            assert_eq!(answer.status, 415, "{} as {format}: {}", sample.name, answer.text());
            assert!(answer.text().contains("safety check"), "{} as {format}: {}", sample.name, answer.text());
            assert_empty(&service.show(OWNER, &id).await);
            waiting.push((id, format));
        }
    }
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
    // nothing of the refusal stays with the image
    waiting.sort_by_key(|(_, format)| *format);
    waiting.dedup_by_key(|(_, format)| *format);
    for (id, format) in waiting {
        // no image of that format is
        let Some(sample) = valid(format) else {
            assert_eq!(format, "qed");
            continue;
        };
        service.upload(OWNER, &id, &sample.data).await.expect(204);
        assert_eq!(
            service.show(OWNER, &id).await["virtual_size"],
            json!(sample.virtual_size),
            "{}",
            sample.name
        );
    }
    service.assert_settled().await;
}

#[tokio::test]
async fn a14_images_that_read_other_files() {
    assert_hostile_are_refused("A14", true).await;
    assert_hostile_are_refused("A14", false).await;
}

#[tokio::test]
async fn a15_vmdk_that_reads_other_files() {
    assert_hostile_are_refused("A15", true).await;
    assert_hostile_are_refused("A15", false).await;
}

#[tokio::test]
async fn a17_absurd_sizes() {
    assert_hostile_are_refused("A17", true).await;
}

/// V2-215, V2-216 and A16: the text names both sides.
#[tokio::test]
async fn v2_215_216_and_a16_content_of_another_format() {
    let service = Service::start().await;
    let qcow2 = samples::qcow2(3);
    let vmdk = samples::vmdk(&samples::vmdk_descriptor("monolithicSparse"));
    let both = samples::edited(samples::iso(20), 0, &qcow2[..104]);
    for (format, data, detected) in [
        // V2-215
        ("vmdk", qcow2.clone(), "qcow2"),
        ("qcow2", vmdk, "vmdk"),
        ("iso", samples::mbr(), "gpt"),
        ("vhd", samples::vhdx(DISK), "vhdx"),
        ("vdi", samples::iso(20), "iso"),
        ("ploop", qcow2.clone(), "qcow2"),
        // V2-216
        ("qcow2", pattern(5000), "raw"),
        ("vmdk", pattern(5000), "raw"),
        ("iso", Vec::new(), "raw"),
        // content that is two things at once is neither
        ("iso", both.clone(), "qcow2 and iso"),
        ("qcow2", both.clone(), "qcow2 and iso"),
        ("raw", both, "qcow2 and iso"),
    ] {
        let (_, answer) = assert_refused(&service, format, &data).await;
        let text = answer.text();
        assert!(text.contains(format) && text.contains(detected), "{format}, {detected}: {text}");
    }
    // a header that breaks off
    for format in ["qcow2", "raw"] {
        assert_refused(&service, format, &qcow2[..90]).await;
    }
    // and one too short to be any
    assert_refused(&service, "qcow2", &qcow2[..20]).await;
    assert_eq!(assert_taken(&service, "raw", &qcow2[..20]).await, json!(20));
    assert_eq!(service.bucket.keys().await.len(), 1);
    service.assert_settled().await;
}

/// V2-217 to V2-221.
#[tokio::test]
async fn v2_217_to_221_safety_whatever_is_declared() {
    let service = Service::start().await;
    // V2-217
    let qcow2 = samples::qcow2(3);
    assert_eq!(assert_taken(&service, "raw", &qcow2).await, json!(qcow2.len()));
    // V2-218 and V2-219
    for data in [samples::a14_backing_file(), samples::a14_data_file(), samples::a14_feature_bit(5)] {
        assert_refused(&service, "qcow2", &data).await;
        assert_refused(&service, "raw", &data).await;
    }
    for bit in [0, 1, 3] {
        assert_eq!(assert_taken(&service, "qcow2", &samples::a14_feature_bit(bit)).await, json!(DISK));
    }
    // V2-220
    for kind in ["monolithicFlat", "twoGbMaxExtentSparse", "vmfs"] {
        assert_refused(&service, "vmdk", &samples::vmdk(&samples::vmdk_descriptor(kind))).await;
    }
    for kind in ["monolithicSparse", "MONOLITHICSPARSE"] {
        let data = samples::vmdk(&samples::vmdk_descriptor(kind));
        assert_eq!(assert_taken(&service, "vmdk", &data).await, json!(DISK));
    }
    // V2-221
    assert_refused(&service, "vmdk", &samples::a15_extent_path()).await;
    assert_eq!(service.bucket.keys().await.len(), 6);
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_222_other_containers_hide_the_disk() {
    let service = Service::start().await;
    for container in ["ovf", "ova", "docker", "compressed"] {
        for data in [samples::a14_backing_file(), samples::qcow2(3), pattern(100)] {
            let document = json!({ "disk_format": "vmdk", "container_format": container });
            let id = service.create_id(OWNER, document).await;
            service.upload(OWNER, &id, &data).await.expect(204);
            let image = service.show(OWNER, &id).await;
            assert_eq!((&image["size"], &image["virtual_size"]), (&json!(data.len()), &Value::Null));
        }
    }
    service.assert_settled().await;
}

/// V2-223, V2-224 and §11.6: every format that is taken, with its virtual size.
#[tokio::test]
async fn v2_223_and_224_virtual_sizes() {
    let service = Service::start_with(all_formats).await;
    for sample in samples::valid() {
        let found = assert_taken(&service, sample.disk_format, &sample.data).await;
        assert_eq!(found, json!(sample.virtual_size), "{}", sample.name);
    }
    // V2-223
    assert_eq!(assert_taken(&service, "iso", &samples::hybrid_iso()).await, json!(20 * 2048));
    // V2-224
    let data = samples::edited(samples::qcow2(3), 24, &(5_u64 << 20).to_be_bytes());
    assert_eq!(assert_taken(&service, "qcow2", &data).await, json!(5 << 20));
    service.assert_settled().await;
}

/// Where content need not match, mismatches pass unmeasured, and what could do harm does not pass all the same.
#[tokio::test]
async fn content_need_not_match_where_that_is_switched_off() {
    let service = Service::start_with(|settings| settings.images.require_format_match = false).await;
    let qcow2 = samples::qcow2(3);
    for (format, data) in [
        ("vmdk", qcow2.clone()),
        ("qcow2", pattern(5000)),
        ("iso", samples::mbr()),
        // too short to tell
        ("qcow2", qcow2[..20].to_vec()),
        // no checks of a format that was not declared, as §11.5 has it: v2 opens the image as what it says, for good
        ("vmdk", samples::a14_backing_file()),
        ("raw", samples::edited(samples::iso(20), 0, &qcow2[..104])),
    ] {
        assert_eq!(assert_taken(&service, format, &data).await, Value::Null, "{format}");
    }
    assert_eq!(assert_taken(&service, "qcow2", &qcow2).await, json!(DISK));
    assert_eq!(assert_taken(&service, "raw", &qcow2).await, json!(qcow2.len()));
    for format in ["qcow2", "raw"] {
        assert_refused(&service, format, &samples::a14_backing_file()).await;
    }
    assert_refused(&service, "vmdk", &samples::a15_extra_extent()).await;
    // A14: nor does a second format switch the checks off
    for format in ["qcow2", "iso", "vdi"] {
        assert_refused(&service, format, &samples::disc(samples::a14_data_file())).await;
    }
    assert_eq!(service.bucket.keys().await.len(), 8);
    service.assert_settled().await;
}

/// A14 and A15 by the other entrance: v1 never compared formats, and lets nothing in that could do harm.
#[tokio::test]
async fn a14_and_a15_through_v1() {
    let service = Service::start().await;
    let hostile = [
        ("qcow2", samples::a14_backing_file()),
        ("raw", samples::a14_backing_file()),
        ("qcow2", samples::a14_data_file()),
        ("vmdk", samples::a15_extent_path()),
        ("vmdk", samples::vmdk(&samples::vmdk_descriptor("monolithicFlat"))),
        // the marks of other formats change nothing
        ("qcow2", samples::bootable(samples::a14_backing_file())),
        ("qcow2", samples::disc(samples::a14_data_file())),
        ("vmdk", samples::bootable(samples::vmdk(&samples::vmdk_descriptor("monolithicFlat")))),
        // nor does another declaration, which v1 lets anybody change
        ("vmdk", samples::a14_backing_file()),
        ("qcow2", samples::a15_extent_path()),
        ("vdi", samples::disc(samples::a14_backing_file())),
    ];
    for (format, data) in &hostile {
        let formats = [("disk_format", *format), ("container_format", "bare")];
        let (posted, reserved) = (new_id(), service.image_id(OWNER, None, &formats).await);
        let post = service.post("/v1/images").meta("id", &posted);
        let post = post.meta("disk_format", format).meta("container_format", "bare");
        let put = service.put(&format!("/v1/images/{reserved}"));
        for (id, request) in [(&posted, post), (&reserved, put)] {
            let answer = request.by(OWNER).data(data).send().await;
            assert_eq!(answer.status, 415, "{format}: {}", answer.text());
            assert_eq!(service.status(id).await, "killed");
            service.get(&format!("/v1/images/{id}")).by(ADMIN).send().await.expect(404);
        }
    }
    until_bucket_is_empty(&service).await;
    service.assert_settled().await;
    // other content passes, and what a client of v1 says of its size stays
    for (format, data) in [
        ("vmdk", samples::qcow2(3)),
        ("qcow2", pattern(100)),
        ("qcow2", samples::qcow2(3)),
        ("qcow2", samples::bootable(samples::qcow2(3))),
        ("qcow2", samples::bootable(pattern(600))),
        ("iso", samples::edited(samples::hybrid_iso(), 446, &[0x13])),
        ("raw", samples::mbr()),
    ] {
        let request = service.post("/v1/images").by(OWNER).meta("disk_format", format);
        let image = request.meta("container_format", "bare").data(&data).send().await.expect(201).image();
        assert_eq!((&image["status"], &image["size"]), (&json!("active"), &json!(data.len())));
        let id = image["id"].as_str().unwrap();
        assert_eq!(service.show(OWNER, id).await["virtual_size"], Value::Null);
    }
    service.assert_settled().await;
}

/// A14, A15 and V2-222 against V1-149: what was never looked at, or as something else, is looked at when a change of
/// formats would put it into service. Harmless images change freely.
#[tokio::test]
async fn a14_a15_and_v1_149_new_formats_for_data_that_are_there() {
    let service = Service::start_with(|settings| settings.images.require_format_match = false).await;
    let put = |id: &str, meta: &[(&str, &str)]| {
        let request = service.put(&format!("/v1/images/{id}")).by(OWNER);
        meta.iter().fold(request, |request, (name, value)| request.meta(name, value))
    };
    let as_bare = |format| [("disk_format", format), ("container_format", "bare")];
    for (disk, container, data, format) in [
        ("vmdk", "ovf", samples::a14_backing_file(), "qcow2"),
        ("vmdk", "ovf", samples::a14_backing_file(), "vdi"),
        ("qcow2", "ova", samples::disc(samples::a14_data_file()), "qcow2"),
        ("raw", "docker", samples::a15_extent_path(), "vmdk"),
        ("raw", "ovf", samples::a15_footer_differs(), "vmdk"),
        ("raw", "ovf", samples::a14_vhdx_parent(), "vhdx"),
        // what v2 takes without a check
        ("vmdk", "bare", samples::a14_backing_file(), "qcow2"),
    ] {
        let document = json!({ "disk_format": disk, "container_format": container });
        let id = service.active(OWNER, document, &data).await;
        for status in ["active", "deactivated"] {
            service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
            let before = service.snapshot(&id).await;
            let answer = put(&id, &as_bare(format)).meta("name", "x").send().await.expect(415);
            assert!(answer.text().contains("safety check"), "{}", answer.text());
            assert_eq!(service.snapshot(&id).await, before);
            // other attributes change, and so do formats that are not inspected
            put(&id, &[("name", "y")]).send().await.expect(200);
            put(&id, &[("disk_format", "iso"), ("container_format", "ovf")]).send().await.expect(200);
        }
    }
    for (data, format) in [
        (samples::qcow2(3), "qcow2"),
        (samples::streamed_vmdk(), "vmdk"),
        (samples::vhdx(DISK), "vhdx"),
        (pattern(5000), "qcow2"),
    ] {
        let document = json!({ "disk_format": "raw", "container_format": "ovf" });
        let id = service.active(OWNER, document, &data).await;
        let image = put(&id, &as_bare(format)).send().await.expect(200).image();
        assert_eq!((&image["disk_format"], &image["container_format"]), (&json!(format), &json!("bare")));
        assert_eq!((&image["status"], &image["size"]), (&json!("active"), &json!(data.len())));
    }
    service.assert_settled().await;
}

/// V1-149: formats of data that are still coming do not become such that are inspected, as those of before were judged.
#[tokio::test]
async fn a14_and_v1_149_new_formats_while_data_come() {
    let service = Service::start().await;
    let data = samples::a14_backing_file();
    let id = declared_in(&service, "qcow2", "ovf").await;
    let mut upload = service.put(&file(&id)).by(OWNER).announcing(data.len()).open().await;
    upload.write(&data[..1000]).await;
    eventually("saving", async || (service.status(&id).await == "saving").then_some(())).await;
    let put = || service.put(&format!("/v1/images/{id}")).by(OWNER);
    put().meta("container_format", "bare").send().await.expect_text(409, "Image operation conflicts");
    put().meta("container_format", "ova").send().await.expect(200);
    upload.write(&data[1000..]).await;
    assert_eq!(upload.answer().await.status, 204);
    put().meta("container_format", "bare").send().await.expect(415);
    assert_eq!(service.show(OWNER, &id).await["container_format"], "ova");
    service.assert_settled().await;
}

/// V1-149 while the store is away: what cannot be looked at does not change, and nothing is read without need.
#[tokio::test]
async fn v1_149_formats_stay_while_the_store_is_away() {
    let fault = Arc::new(Mutex::new(Fault::InternalError));
    let faulty = FaultyS3::start({
        let fault = Arc::clone(&fault);
        move |call| if call.operation == "GetObject" { *fault.lock().unwrap() } else { Fault::Pass }
    });
    let service = Service::start_faulty(&faulty).await;
    let document = json!({ "disk_format": "qcow2", "container_format": "ovf" });
    let id = service.active(OWNER, document, &samples::qcow2(3)).await;
    let put = || service.put(&format!("/v1/images/{id}")).by(OWNER);
    for formats in
        [("name", "x"), ("disk_format", "qcow2"), ("disk_format", "vmdk"), ("container_format", "ova")]
    {
        put().meta(formats.0, formats.1).send().await.expect(200);
    }
    assert_eq!(faulty.count("GetObject"), 0);
    let before = service.snapshot(&id).await;
    for state in [Fault::InternalError, Fault::Denied] {
        *fault.lock().unwrap() = state;
        put().meta("container_format", "bare").send().await.expect(503);
        assert_eq!(service.snapshot(&id).await, before);
    }
    *fault.lock().unwrap() = Fault::Pass;
    put().meta("container_format", "bare").send().await.expect(200);
    service.assert_settled().await;
}

/// A17: the verdict does not depend on how the bytes were cut.
#[tokio::test]
async fn a17_the_verdict_is_that_of_the_bytes_not_of_their_chunks() {
    let service = Service::start_with(all_formats).await;
    let sample = |name: &str| samples::valid().into_iter().find(|sample| sample.name == name).unwrap();
    let hostile = |name: &str| samples::hostile().into_iter().find(|sample| sample.name == name).unwrap();
    let samples = [
        (sample("streamed vmdk"), true),
        (sample("vhdx"), true),
        (sample("hybrid iso"), true),
        (sample("fixed vhd of a partitioned disk"), true),
        (sample("gpt"), true),
        (hostile("A14 qcow2 with backing file"), false),
        (hostile("A15 vmdk footer"), false),
        (hostile("A17 vhdx region overflow"), false),
    ];
    for (sample, fine) in &samples {
        let sizes: &[usize] =
            if sample.data.len() < 50_000 { &[1, 7, 511, 513] } else { &[509, 513, 4093, 65_537] };
        for size in sizes {
            let id = declared(&service, sample.disk_format).await;
            let mut upload = service.put(&file(&id)).by(OWNER).announcing_chunks().open().await;
            let mut wire = Vec::new();
            for chunk in sample.data.chunks(*size) {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            upload.write(&wire).await;
            let answer = upload.answer().await;
            let expected = if *fine { 204 } else { 415 };
            assert_eq!(answer.status, expected, "{} by {size}: {}", sample.name, answer.text());
            let image = service.show(OWNER, &id).await;
            assert_eq!(image["virtual_size"], json!(sample.virtual_size), "{} by {size}", sample.name);
        }
    }
    service.assert_settled().await;
}
