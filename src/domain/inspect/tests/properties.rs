//! What must hold for every content and every way to cut it (A17, R-24).

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Headers whose fields differ from image to image, as (offset, length).
const HEADERS: [(usize, usize); 6] =
    [(0, 112), (0, 592), (192 << 10, 64), (1 << 20, 96), (32 << 10, 160), (512, 600)];

/// An image, perhaps cut short, with some bytes of its headers changed.
fn image() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<_> = samples::valid().into_iter().chain(samples::hostile()).map(|s| s.data).collect();
    let change = (select(HEADERS.to_vec()), any::<Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xff)]);
    (select(all), vec(change, 0..6), proptest::option::weighted(0.3, any::<Index>())).prop_map(
        |(mut image, changes, end)| {
            for ((start, len), at, value) in changes {
                if let Some(byte) = image.get_mut(start + at.index(len)) {
                    *byte = value;
                }
            }
            if let Some(end) = end {
                image.truncate(end.index(image.len() + 1));
            }
            image
        },
    )
}

/// `data` cut at these places.
fn pieces<'a>(data: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
    cuts.extend([0, data.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &data[pair[0]..pair[1]]).collect()
}

/// The findings on `data`, of which only what is wanted is shown.
fn inspect_wanted(data: &[u8]) -> Findings {
    let mut inspector = Inspector::new();
    while let Some(wanted) = inspector.wanted(data.len() as u64) {
        inspector.skip_to(wanted.start);
        inspector.push(&data[wanted.start as usize..wanted.end as usize]);
    }
    assert!(inspector.held() <= 1 << 20);
    inspector.finish()
}

proptest! {
    #[test]
    fn r24_independent_of_chunking(image in image(), cuts in vec(any::<Index>(), 0..24), piece in 1_usize..70_000) {
        let whole = inspect(&image);
        let mut inspector = Inspector::new();
        pieces(&image, &cuts).into_iter().for_each(|piece| inspector.push(piece));
        prop_assert!(inspector.held() <= 1 << 20);
        prop_assert_eq!(&inspector.finish(), &whole);
        prop_assert_eq!(&inspect_in(&image, piece), &whole);
    }

    #[test]
    fn r24_what_is_not_wanted_changes_nothing(image in image()) {
        prop_assert_eq!(inspect_wanted(&image), inspect(&image));
    }

    #[test]
    fn r24_arbitrary_bytes_get_a_verdict(
        magic in select(vec![
            &b""[..], b"QFI\xfb\0\0\0\x02", b"QFI\xfb\0\0\0\x03", b"QED\0", b"conectix", b"vhdxfile", b"KDMV\x01\0\0\0",
            b"LUKS\xba\xbe\0\x01", b"# Disk DescriptorFile\n",
        ]),
        noise in vec(any::<u8>(), 0..5000),
        end in select(vec![&b""[..], b"\x55\xaa"]),
        cut in any::<Index>(),
    ) {
        let mut image = [magic, &noise].concat();
        if image.len() >= 512 {
            image = samples::edited(image, 512 - end.len(), end);
        }
        let findings = inspect(&image);
        prop_assert_eq!(findings.total(), image.len() as u64);
        let mut inspector = Inspector::new();
        pieces(&image, &[cut]).into_iter().for_each(|piece| inspector.push(piece));
        prop_assert_eq!(&inspector.finish(), &findings);
        for declared in ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso", "gpt", "luks", "qed", "ami", "x"] {
            // A requirement can only turn an acceptance into a refusal, and a failed check does not depend on it.
            match (findings.judge(declared, true), findings.judge(declared, false)) {
                (Ok(strict), lenient) => prop_assert_eq!(lenient, Ok(strict)),
                (Err(strict @ Refusal::Unsafe { .. }), lenient) => prop_assert_eq!(lenient, Err(strict)),
                (Err(_), lenient) => prop_assert_eq!(lenient, Ok(None)),
            }
        }
    }
}

#[test]
fn r24_every_cut_of_the_first_sectors() {
    for sample in samples::valid() {
        let whole = inspect(&sample.data);
        for cut in 0..sample.data.len().min(1100) {
            let mut inspector = Inspector::new();
            inspector.push(&sample.data[..cut]);
            inspector.push(&sample.data[cut..]);
            assert_eq!(inspector.finish(), whole, "{} cut at {cut}", sample.name);
        }
    }
}

#[test]
fn r24_byte_by_byte() {
    for sample in samples::valid() {
        assert_eq!(inspect_in(&sample.data, 1), inspect(&sample.data), "{}", sample.name);
    }
}

#[test]
fn r24_only_what_is_wanted() {
    for sample in samples::valid().into_iter().chain(samples::hostile()) {
        assert_eq!(inspect_wanted(&sample.data), inspect(&sample.data), "{}", sample.name);
    }
    // far apart: what lies between is not read
    let mut inspector = Inspector::new();
    let data = samples::streamed_vmdk();
    let (total, mut read) = (data.len() as u64 + (1 << 40), 0);
    while let Some(wanted) = inspector.wanted(total) {
        inspector.skip_to(wanted.start);
        read += wanted.end - wanted.start;
        let start = (wanted.start as usize).min(data.len());
        let mut bytes = data[start..data.len().min(wanted.end as usize)].to_vec();
        bytes.resize((wanted.end - wanted.start) as usize, 0);
        inspector.push(&bytes);
    }
    assert!(read < 64 << 10, "{read}");
    assert_eq!(inspector.finish().total(), total);
}
