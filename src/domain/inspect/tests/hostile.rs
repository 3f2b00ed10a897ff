//! Rows A14, A15 and A17 of hardening.md. Each failed check is final: nothing the operator or the tenant says
//! about the format lets such an image in.

use super::*;

fn assert_refused(rows: &str) {
    let samples: Vec<_> = samples::hostile().into_iter().filter(|s| s.name.starts_with(rows)).collect();
    assert!(!samples.is_empty());
    for sample in samples {
        for declared in [sample.disk_format, "raw"] {
            for require_match in [true, false] {
                let verdict = inspect(&sample.data).judge(declared, require_match);
                assert!(
                    matches!(verdict, Err(Refusal::Unsafe { .. })),
                    "{} as {declared}: {verdict:?}",
                    sample.name
                );
            }
        }
    }
}

#[test]
fn a14_images_that_read_other_files() {
    // V2-218 and V2-219
    assert_refused("A14");
}

#[test]
fn a15_vmdk_that_reads_other_files() {
    // V2-220 and V2-221
    assert_refused("A15");
}

#[test]
fn a17_absurd_sizes() {
    assert_refused("A17");
}

#[test]
fn a14_checks_say_what_is_wrong() {
    for (data, text) in [
        (
            samples::a14_backing_file(),
            "Image content is qcow2 and fails the safety check backing_file: the image has a backing file",
        ),
        (
            samples::a14_data_file(),
            "Image content is qcow2 and fails the safety check data_file: the image has an external data file",
        ),
        (
            samples::a14_feature_bit(5),
            "Image content is qcow2 and fails the safety check unknown_features: the incompatible feature bits \
             0x20 are not supported",
        ),
    ] {
        assert_eq!(refusal(&data, "qcow2", true), text);
    }
}

#[test]
fn a14_every_feature_bit() {
    for bit in 0..64 {
        let verdict = inspect(&samples::a14_feature_bit(bit)).judge("qcow2", true);
        assert_eq!(verdict.is_ok(), matches!(bit, 0 | 1 | 3), "bit {bit}: {verdict:?}");
    }
}

#[test]
fn a14_version_2_has_no_feature_bits() {
    // what version 3 keeps there belongs to header extensions
    let data = samples::edited(samples::qcow2(2), 72, &u64::MAX.to_be_bytes());
    assert!(inspect(&data).judge("qcow2", true).is_ok());
}

#[test]
fn a15_types_in_any_letter_case() {
    for allowed in ["monolithicsparse", "STREAMOPTIMIZED", "monolithicSparse"] {
        assert!(inspect(&samples::vmdk(&samples::vmdk_descriptor(allowed))).judge("vmdk", true).is_ok());
    }
    for refused in
        ["", "custom", "monolithicFlat", "twoGbMaxExtentFlat", "vmfs", "fullDevice", "monolithicSparse2"]
    {
        assert!(
            inspect(&samples::vmdk(&samples::vmdk_descriptor(refused))).judge("vmdk", true).is_err(),
            "{refused}"
        );
    }
}

#[test]
fn a15_descriptor_lines() {
    let with = |line: &str| {
        let data = samples::vmdk(&format!("{}{line}\n", samples::vmdk_descriptor("monolithicSparse")));
        inspect(&data).judge("vmdk", true).is_ok()
    };
    for understood in
        ["# a comment / with a slash", "", "  \t", "ddb.uuid = \"/\"", "key=any value / at all", "k="]
    {
        assert!(with(understood), "{understood}");
    }
    for refused in [
        "rw 8 sparse \"second\"",
        "RDONLY 8 FLAT \"second\" 0",
        "noaccess 8 zero",
        "two words=x",
        "word",
        "rw\u{b}8\u{b}flat\u{b}\"a=b\"",
        "createTYPE=\"monolithicSparse\"",
        "# createType=\"monolithicFlat\"",
        "PARENTFILENAMEHINT=\"x\"",
        "k=\u{e9}",
    ] {
        assert!(!with(refused), "{refused}");
    }
    let flat = samples::vmdk_descriptor("monolithicSparse").replace("SPARSE", "FLAT");
    assert!(inspect(&samples::vmdk(&flat)).judge("vmdk", true).is_err());
    let windows = samples::vmdk_descriptor("monolithicSparse").replace('\n', "\r\n");
    assert!(inspect(&samples::vmdk(&windows)).judge("vmdk", true).is_ok());
}

#[test]
fn a15_descriptors_without_data() {
    let descriptor = samples::vmdk_descriptor("monolithicFlat");
    for data in [
        descriptor.clone(),
        // beyond the first sector
        format!("{}{descriptor}", "# padding\n".repeat(1000)),
        "CREATETYPE=\"x\"".to_owned(),
        "# \u{1f427}\n\n  # x\nversion=3\r\n".to_owned(),
    ] {
        let verdict = inspect(data.as_bytes()).judge("raw", false);
        assert!(matches!(verdict, Err(Refusal::Unsafe { format: Format::Vmdk, .. })), "{data}");
    }
    for data in ["createType=", "create type", "# version=1\n", "version=4\n", "x\nversion=1\n"] {
        assert!(inspect(data.as_bytes()).judge("raw", true).is_ok(), "{data}");
    }
}

#[test]
fn a15_footers() {
    let valid = samples::streamed_vmdk();
    let end = valid.len();
    for (what, at, bytes) in [
        ("marker type", end - 1536 + 12, &[4][..]),
        ("marker size", end - 1536 + 8, &[1]),
        ("marker padding", end - 1025, &[1]),
        ("magic", end - 1024, b"COWD"),
        ("version", end - 1024 + 4, &[2]),
        ("descriptor offset", end - 1024 + 28, &[2]),
        ("descriptor length", end - 1024 + 36, &[21]),
        ("yet another footer", end - 1024 + 56, &[0xff; 8]),
        ("end value", end - 512, &[1]),
        ("end size", end - 512 + 8, &[1]),
        ("end type", end - 512 + 12, &[1]),
        ("end padding", end - 1, &[1]),
        ("more data", end, &[0]),
    ] {
        let data = samples::edited(valid.clone(), at, bytes);
        let verdict = inspect(&data).judge("vmdk", false);
        assert!(
            matches!(&verdict, Err(Refusal::Unsafe { check, .. }) if check == "footer"),
            "{what}: {verdict:?}"
        );
    }
}

#[test]
fn a17_mbr_rules() {
    let gpt = samples::gpt();
    for (what, at, bytes) in [
        ("CHS", 447, &[1][..]),
        ("LBA", 446 + 8, &[2]),
        ("not the first", 446, &[0; 16]),
        ("boot flag", 446 + 48, &[1]),
    ] {
        let mut data = samples::edited(gpt.clone(), at, bytes);
        if what == "not the first" {
            data = samples::edited(data, 462, &gpt[446..462]);
            data = samples::edited(data, 446 + 4, &[0x83]);
        }
        let verdict = inspect(&data).judge("gpt", false);
        assert!(
            matches!(&verdict, Err(Refusal::Unsafe { check, .. }) if check == "mbr"),
            "{what}: {verdict:?}"
        );
    }
    // disks with large sectors keep the header further behind
    let data = samples::edited(samples::edited(gpt.clone(), 512, &[0; 92]), 4096, &gpt[512..604]);
    assert!(inspect(&data).judge("gpt", true).is_ok());
    let data = samples::edited(data, 4096 + 80, &[0xff; 4]);
    assert!(
        matches!(inspect(&data).judge("gpt", true), Err(Refusal::Unsafe { check, .. }) if check == "gpt")
    );
}

#[test]
fn a17_memory_is_bounded() {
    // every window that content can ask for, at its largest
    let descriptor = samples::edited(
        samples::vmdk(&samples::vmdk_descriptor("monolithicSparse")),
        36,
        &1024_u64.to_le_bytes(),
    );
    let mut images: Vec<_> = samples::valid().into_iter().chain(samples::hostile()).map(|s| s.data).collect();
    images.push(descriptor);
    images.push(b"# text\n".repeat(100));
    for image in images {
        for piece in [1000, 1 << 20] {
            let mut inspector = Inspector::new();
            image.chunks(piece).for_each(|piece| inspector.push(piece));
            for _ in 0..4 {
                inspector.push(&vec![b' '; 1 << 20]);
                assert!(inspector.held() <= 1 << 20, "{} bytes held", inspector.held());
            }
        }
    }
}

#[test]
fn a17_offsets_far_away_cost_nothing() {
    let data = samples::edited(samples::vhdx(samples::DISK), (192 << 10) + 32, &(1_u64 << 60).to_le_bytes());
    assert!(matches!(inspect(&data).judge("vhdx", true), Err(Refusal::Unreadable { .. })));
}
