//! Streams of images as short scripts, so that a header at 1 MiB costs a fuzzer a few bytes.
//!
//! ```text
//! script = n (1 byte, of which the low 4 bits count) cut{n} record*
//! record = gap (3 bytes) length (2 bytes) data{length}
//! ```
//!
//! Numbers are little-endian. `gap` zeros come before the data; what is cut short counts as far as it goes. The cuts
//! say into which pieces the stream is taken apart.

/// Longest stream: all windows of all formats lie below it, but for those that fuzzing moves away.
const STREAM_MAX: usize = 5 << 18;
/// Most pieces; the last one is what is left.
const PIECES_MAX: usize = 512;

/// A stream and how to cut it.
pub struct Script<'a> {
    /// The whole stream.
    pub stream: Vec<u8>,
    cuts: &'a [u8],
}

impl<'a> Script<'a> {
    /// Reads a script; every input is one.
    pub fn parse(data: &'a [u8]) -> Self {
        let (count, rest) = data.split_first().map_or((0, data), |(n, rest)| (usize::from(n & 15), rest));
        let (cuts, mut records) = rest.split_at(count.min(rest.len()));
        let mut stream = Vec::new();
        while let Some((&[a, b, c, d, e], rest)) = records.split_first_chunk() {
            let gap = u32::from_le_bytes([a, b, c, 0]) as usize;
            let (data, rest) = rest.split_at(usize::from(u16::from_le_bytes([d, e])).min(rest.len()));
            stream.resize(STREAM_MAX.min(stream.len() + gap), 0);
            stream.extend(&data[..data.len().min(STREAM_MAX - stream.len())]);
            records = rest;
        }
        Self { stream, cuts }
    }

    /// The pieces of the stream, whose lengths repeat the cuts: below 128 in bytes, above in sectors of 64 bytes.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let lengths = self.cuts.iter().cycle().take(PIECES_MAX).map(|cut| match usize::from(*cut) {
            cut @ 0..128 => cut,
            cut => (cut - 127) * 64,
        });
        let mut rest = self.stream.as_slice();
        lengths.chain(std::iter::once(usize::MAX)).map(move |length| {
            let (piece, more) = rest.split_at(length.min(rest.len()));
            rest = more;
            piece
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Script;

    #[test]
    fn scripts_say_what_comes_where() {
        let script = Script::parse(&[0x12, 1, 129, 2, 0, 0, 3, 0, b'a', b'b', b'c', 0, 1, 0, 9, 0, b'd']);
        assert_eq!(script.stream[..5], *b"\0\0abc");
        assert_eq!((script.stream.len(), script.stream[261]), (262, b'd'));
        let pieces: Vec<_> = script.pieces().collect();
        assert_eq!(pieces.iter().take(3).map(|p| p.len()).collect::<Vec<_>>(), [1, 128, 1]);
        assert_eq!(pieces.concat(), script.stream);
    }

    #[test]
    fn every_input_is_a_script() {
        for bytes in [&[][..], &[15], &[0, 255, 255, 255, 255, 255], &[1, 0, 0, 0, 0, 0]] {
            let script = Script::parse(bytes);
            assert!(script.stream.len() <= super::STREAM_MAX);
            assert_eq!(script.pieces().collect::<Vec<_>>().concat(), script.stream);
        }
    }
}
