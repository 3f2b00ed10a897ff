//! The table of images-v2.md §11.5, case by case, and the sizes of §11.6.

use super::*;

/// Data of no format.
const PLAIN: &[u8] = b"nothing that anybody would recognise";

fn size(data: &[u8]) -> Option<u64> {
    Some(data.len() as u64)
}

#[test]
fn valid_images_are_accepted_with_their_virtual_size() {
    // V2-224 and §11.6
    for sample in samples::valid() {
        for require_match in [true, false] {
            let verdict = inspect(&sample.data).judge(sample.disk_format, require_match);
            assert_eq!(verdict, Ok(sample.virtual_size), "{}", sample.name);
        }
    }
}

#[test]
fn iso_and_gpt_count_as_iso() {
    // V2-223
    let findings = inspect(&samples::hybrid_iso());
    assert_eq!(findings.matches().count(), 2);
    assert_eq!(findings.judge("iso", true), Ok(Some(20 * 2048)));
    assert_eq!(findings.judge("raw", true), Ok(size(&samples::hybrid_iso())));
    assert!(findings.judge("gpt", true).is_err());
    // a partition table that would be refused alone is no danger on a disc
    let data = samples::edited(samples::hybrid_iso(), 446, &[0x13]);
    assert_eq!(inspect(&data).judge("iso", true), Ok(Some(20 * 2048)));
}

#[test]
fn two_other_formats_are_a_mismatch() {
    let data = samples::edited(samples::qcow2(3), 32 << 10, &samples::iso(20)[32 << 10..34 << 10]);
    for declared in ["qcow2", "iso", "raw"] {
        assert_eq!(
            refusal(&data, declared, true),
            format!(
                "Image content is qcow2 and iso at the same time, which does not match the declared \
                 disk_format {declared}"
            ),
        );
        assert_eq!(inspect(&data).judge(declared, false), Ok(None));
    }
    // a third one besides iso and gpt
    let data = samples::edited(samples::hybrid_iso(), 0, b"conectix");
    assert!(matches!(inspect(&data).judge("iso", true), Err(Refusal::Mismatch { .. })));
}

#[test]
fn of_several_formats_all_are_checked_but_for_partition_tables() {
    // A14: whatever the others say, and whatever is declared
    let hidden = samples::disc(samples::bootable(samples::a14_backing_file()));
    for declared in ["qcow2", "iso", "gpt", "raw", "vdi", "ami"] {
        assert!(refusal(&hidden, declared, false).contains("backing file"), "{declared}");
    }
    // the two bytes of a partition table are no harm beside a harmless image
    let data = samples::bootable(samples::qcow2(3));
    let findings = inspect(&data);
    assert!(findings.matches().any(|(format, outcome)| format == Format::Gpt && outcome.is_err()));
    assert_eq!(findings.harm(), None);
    assert_eq!(findings.judge("qcow2", false), Ok(None));
    assert!(matches!(findings.judge("qcow2", true), Err(Refusal::Mismatch { .. })));
    // nor alone, where a disk was not declared
    let findings = inspect(&samples::bootable(PLAIN.to_vec()));
    assert_eq!((findings.harm(), findings.judge("vdi", false)), (None, Ok(None)));
    assert!(inspect(&samples::a14_backing_file()).harm().is_some());
}

#[test]
fn detected_raw_fits_what_cannot_be_inspected() {
    for declared in ["ami", "ari", "aki", "ploop"] {
        assert_eq!(inspect(PLAIN).judge(declared, true), Ok(None));
        // but recognised content does not
        assert!(inspect(&samples::qcow2(3)).judge(declared, true).is_err());
    }
    assert_eq!(inspect(PLAIN).judge("raw", true), Ok(size(PLAIN)));
    // V2-209
    assert_eq!(inspect(b"").judge("raw", true), Ok(None));
}

#[test]
fn recognised_content_declared_raw_keeps_the_byte_count() {
    // V2-217
    let data = samples::qcow2(3);
    assert_eq!(inspect(&data).judge("raw", true), Ok(size(&data)));
    // A16, V2-218: and is checked as what it is
    assert!(refusal(&samples::a14_backing_file(), "raw", true).contains("backing file"));
    assert!(refusal(&samples::a14_backing_file(), "raw", false).contains("backing file"));
    assert!(refusal(&samples::qed(), "raw", true).contains("qed"));
}

#[test]
fn anything_else_is_a_mismatch() {
    // A16, V2-215 and V2-216
    assert_eq!(
        refusal(&samples::qcow2(3), "vmdk", true),
        "Image content is qcow2, which does not match the declared disk_format vmdk"
    );
    assert_eq!(
        refusal(PLAIN, "qcow2", true),
        "Image content is raw, which does not match the declared disk_format qcow2"
    );
    // without the requirement there is neither size nor check
    assert_eq!(inspect(&samples::a14_backing_file()).judge("vmdk", false), Ok(None));
    assert_eq!(inspect(PLAIN).judge("qcow2", false), Ok(None));
    // formats that the deployment invented are never recognised
    assert!(inspect(PLAIN).judge("vhd2", true).is_err());
}

#[test]
fn every_format_under_every_other_name_is_a_mismatch() {
    // A16
    let names = ["qcow2", "qed", "vhd", "vhdx", "vmdk", "vdi", "iso", "gpt", "luks"];
    for sample in samples::valid().into_iter().filter(|s| names.contains(&s.disk_format)) {
        let findings = inspect(&sample.data);
        for declared in names.into_iter().filter(|name| *name != sample.disk_format) {
            let exception = sample.name.starts_with("fixed vhd of") && declared == "gpt";
            let verdict = findings.judge(declared, true);
            assert_eq!(verdict.is_ok(), exception, "{} as {declared}: {verdict:?}", sample.name);
            if !exception {
                assert_eq!(findings.judge(declared, false), Ok(None), "{} as {declared}", sample.name);
            }
        }
    }
}

#[test]
fn truncated_images_are_unreadable_only_while_a_match_is_required() {
    for (data, declared) in [
        (&samples::vhd(samples::DISK)[..300], "vhd"),
        (&samples::vhdx(samples::DISK)[..512 << 10], "vhdx"),
        (&samples::vhdx(samples::DISK)[..20], "vhdx"),
        (&samples::vmdk(&samples::vmdk_descriptor("monolithicSparse"))[..40], "vmdk"),
        (&samples::vmdk(&samples::vmdk_descriptor("monolithicSparse"))[..2000], "vmdk"),
        (&samples::luks(1)[..500], "luks"),
        (&samples::qcow2(3)[..100], "qcow2"),
    ] {
        for declared in [declared, "raw"] {
            let verdict = inspect(data).judge(declared, true);
            assert!(matches!(verdict, Err(Refusal::Unreadable { .. })), "{declared}: {verdict:?}");
            assert_eq!(inspect(data).judge(declared, false), Ok(None));
        }
    }
    assert_eq!(
        refusal(&samples::vhd(samples::DISK)[..300], "vhd", true),
        "Image content cannot be inspected as vhd (declared disk_format vhd): the data ends within a header"
    );
}

#[test]
fn structures_out_of_place_are_unreadable() {
    for data in [
        samples::edited(samples::vhdx(samples::DISK), 192 << 10, b"none"),
        samples::edited(samples::vhdx(samples::DISK), (192 << 10) + 16, &[0; 16]),
        samples::edited(samples::vhdx(samples::DISK), 1 << 20, b"none"),
        samples::edited(samples::vhdx(samples::DISK), (1 << 20) + 32, &[0; 16]),
    ] {
        assert!(matches!(inspect(&data).judge("vhdx", true), Err(Refusal::Unreadable { .. })));
        assert_eq!(inspect(&data).judge("vhdx", false), Ok(None));
    }
}

#[test]
fn magic_without_a_header_is_raw() {
    for data in [&b"QFI\xfb"[..], b"QED\0", &samples::vdi(samples::DISK)[..511], &samples::mbr()[..511]] {
        assert_eq!(inspect(data).judge("raw", true), Ok(size(data)));
        assert_eq!(inspect(data).matches().count(), 0);
    }
}

#[test]
fn a_short_qcow2_is_recognised_from_its_header_alone() {
    let data = &samples::qcow2(2)[..72];
    assert_eq!(inspect(data).judge("qcow2", true), Ok(Some(samples::DISK)));
    assert_eq!(inspect(data).judge("raw", true), Ok(Some(72)));
}

#[test]
fn fixed_vhd_is_known_by_its_end() {
    let disk = samples::mbr();
    let data = samples::fixed_vhd(disk.clone());
    assert_eq!(inspect(&data).judge("vhd", true), Ok(size(&disk)));
    // the same bytes are a raw disk for those who say so
    assert_eq!(inspect(&data).judge("raw", true), Ok(size(&data)));
    assert_eq!(inspect(&data).judge("gpt", true), Ok(size(&data)));
    // a footer that does not fit is no footer
    let end = data.len() - 512;
    for (at, bytes) in [(0, &b"Conectix"[..]), (12, &[9]), (16, &[0]), (63, &[3]), (67, &[1]), (100, &[1])] {
        let data = samples::edited(data.clone(), end + at, bytes);
        assert!(inspect(&data).judge("vhd", true).is_err(), "{at}");
    }
    assert!(inspect(&data[1..]).judge("vhd", true).is_err(), "smaller than its disk");
    // another format in front of the footer is not the disk of a VHD
    let disguised = samples::fixed_vhd(samples::qcow2(3));
    assert!(matches!(inspect(&disguised).judge("vhd", true), Err(Refusal::Mismatch { .. })));
    assert_eq!(inspect(&disguised).judge("qcow2", true), Ok(Some(samples::DISK)));
}

#[test]
fn a_resized_vhd_has_its_current_size() {
    let data = samples::edited(samples::vhd(samples::DISK), 48, &(2 * samples::DISK).to_be_bytes());
    assert_eq!(inspect(&data).judge("vhd", true), Ok(Some(2 * samples::DISK)));
    let data = samples::edited(samples::vhd(samples::DISK), 48, &[0; 8]);
    assert_eq!(inspect(&data).judge("vhd", true), Ok(Some(samples::DISK)));
}

#[test]
fn sizes_computed_as_zero_are_none() {
    let data = samples::edited(samples::qcow2(3), 24, &[0; 8]);
    assert_eq!(inspect(&data).judge("qcow2", true), Ok(None));
    // only a primary descriptor tells the size of a volume
    let data = samples::edited(samples::iso(20), 32 << 10, &[0]);
    assert_eq!(inspect(&data).judge("iso", true), Ok(None));
    let data = samples::edited(samples::iso(20), (32 << 10) + 1, b"NSR02");
    assert_eq!(inspect(&data).judge("iso", true), Ok(Some(20 * 2048)));
    let header_only = &samples::luks(1)[..4096];
    assert_eq!(inspect(header_only).judge("luks", true), Ok(None));
}

#[test]
fn a_luks_salt_may_look_like_a_boot_signature() {
    let data = samples::edited(samples::luks(1), 440, &[0x5a; 70]);
    let data = samples::edited(data, 510, &[0x55, 0xaa]);
    assert_eq!(inspect(&data).judge("luks", true), Ok(Some(8 << 10)));
    // a whole table is no accident
    let data = samples::edited(samples::luks(1), 446, &samples::mbr()[446..512]);
    assert!(matches!(inspect(&data).judge("luks", true), Err(Refusal::Mismatch { .. })));
}

#[test]
fn failed_table_checks_can_be_forgiven_by_name() {
    let data = samples::edited(samples::mbr(), 446, &[0x13]);
    let mut findings = inspect(&data);
    assert_eq!(findings.forgive(&["gpt"]), None);
    assert!(findings.judge("raw", true).is_err());
    assert!(matches!(findings.forgive(&["mbr"]), Some(Fault::Unsafe { check, .. }) if check == "mbr"));
    assert_eq!(findings.judge("gpt", true), Ok(size(&data)));
    assert_eq!(findings.judge("raw", true), Ok(size(&data)));
    // nothing else can be
    let mut findings = inspect(&samples::a14_backing_file());
    assert_eq!(findings.forgive(&["backing_file"]), None);
    // and a forgiven check hides no other one
    let data = samples::edited(samples::edited(samples::gpt(), 446, &[0x13]), 512 + 80, &[0xff; 4]);
    let mut findings = inspect(&data);
    assert_eq!(findings.forgive(&["mbr"]), None);
    assert!(findings.judge("gpt", true).is_err());
}

#[test]
fn matches_tell_what_was_seen() {
    let findings = inspect(&samples::qcow2(3));
    assert_eq!(findings.total(), 256 << 10);
    assert_eq!(findings.matches().collect::<Vec<_>>(), [(Format::Qcow2, Ok(samples::DISK))]);
}
