//! Image formats on the stream (hardening.md A14 to A17, R-24).

use vitrine::domain::inspect::{Findings, Format, Inspector, Refusal};

use super::script::Script;

/// What one stream may hold.
const HELD_MAX: usize = 1 << 20;
const DECLARATIONS: [&str; 16] = [
    "raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso", "gpt", "luks", "qed", "ploop", "ami", "ari", "aki",
    "", "x",
];

/// Holds one input against what must be true of all.
pub fn run(data: &[u8]) {
    let script = Script::parse(data);
    let stream = script.stream.as_slice();
    let mut inspector = Inspector::new();
    inspector.push(stream);
    let findings = inspector.finish();

    let mut inspector = Inspector::new();
    for piece in script.pieces() {
        inspector.push(piece);
        assert!(inspector.held() <= HELD_MAX, "{} bytes held", inspector.held());
    }
    assert_eq!(inspector.finish(), findings, "the verdict depends on how the stream was cut");

    assert_eq!(findings.total(), stream.len() as u64);
    let mut accepted = is_accepted(&findings);
    for checks in [&["mbr"][..], &["gpt"], &["mbr", "gpt"], &["sizes", "backing_file", "descriptor"]] {
        let mut forgiven = findings.clone();
        if forgiven.forgive(checks).is_some() {
            assert!(checks.contains(&"mbr") || checks.contains(&"gpt"), "{checks:?} cannot be forgiven");
            assert!(forgiven.matches().any(|(format, outcome)| format == Format::Gpt && outcome.is_ok()));
            accepted |= is_accepted(&forgiven);
        } else {
            assert_eq!(forgiven, findings);
        }
    }
    if accepted {
        check_harmless(stream);
    }
}

/// Whether the content passes under any declaration.
fn is_accepted(findings: &Findings) -> bool {
    let verdicts = DECLARATIONS.map(|declared| {
        let strict = findings.judge(declared, true);
        // A requirement can only turn an acceptance into a refusal, and a failed check does not depend on it.
        let lenient = findings.judge(declared, false);
        match &strict {
            Ok(_) | Err(Refusal::Unsafe { .. }) => assert_eq!(lenient, strict),
            Err(refusal) => {
                assert_eq!(lenient, Ok(None));
                assert!(refusal.to_string().len() < 1000, "{refusal}");
            }
        }
        if let Ok(Some(size)) = strict {
            assert!(size > 0 && i64::try_from(size).is_ok(), "a virtual size of {size}");
        }
        strict.is_ok()
    });
    verdicts.contains(&true)
}

/// What no accepted content may be, whatever it was declared, by another reading than the inspectors' own.
fn check_harmless(stream: &[u8]) {
    let be32 = |at: usize| stream.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    if stream.starts_with(b"QFI\xfb") && stream.len() >= 72 {
        assert!((be32(8), be32(12)) == (0, 0), "a qcow2 with a backing file passed");
        assert!(be32(4) == 2 || (be32(72), be32(76) & !0b1011) == (0, 0), "a qcow2 with odd features passed");
    }
    assert!(!stream.starts_with(b"QED\0") || stream.len() < 64, "a QED passed");
    assert!(!stream.starts_with(b"LUKS\xba\xbe") || stream.get(6..8) == Some(&[0, 1]), "a LUKS 2 passed");
    assert!(!stream.starts_with(b"conectix") || be32(60) != 4, "a VHD with a parent passed");
    if stream.starts_with(b"KDMV") {
        let area = stream.get(512..).unwrap_or_default();
        let descriptor = area.split(|b| *b == 0).next().unwrap_or_default().to_ascii_lowercase();
        let count = |word: &[u8]| descriptor.windows(word.len()).filter(|found| *found == word).count();
        assert!(count(b"parentfilenamehint") == 0, "a VMDK with a parent passed");
        assert!(count(b"createtype") == 1, "a VMDK of several types passed");
        let is_extent = |line: &&[u8]| {
            ["rw", "rdonly", "noaccess"].iter().any(|access| {
                line.strip_prefix(access.as_bytes())
                    .is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))
            })
        };
        for extent in descriptor.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(is_extent) {
            let is_foreign = extent.iter().any(|b| matches!(b, b'/' | b'\\'));
            assert!(
                !is_foreign && extent.windows(6).any(|w| w == b"sparse"),
                "a VMDK with another file passed"
            );
        }
    }
}
