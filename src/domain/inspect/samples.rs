//! Smallest images of every format, and hostile ones, for tests, fuzzing seeds and benchmarks.
//!
//! They hold what inspection and format drivers look at first, not a file system. Hostile ones are named after
//! the rows of hardening.md that demand their refusal.

use super::vhdx::{DISK_SIZE_ITEM, METADATA_REGION, PARENT_LOCATOR_ITEM};

/// The size of the disk in every sample that has one in its header.
pub const DISK: u64 = 64 << 20;

const KIB: usize = 1 << 10;

/// An image and what its declaration should lead to.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What it is, for messages.
    pub name: &'static str,
    /// The `disk_format` under which it is uploaded.
    pub disk_format: &'static str,
    /// Its bytes.
    pub data: Vec<u8>,
    /// The virtual size it should get; for hostile samples, none.
    pub virtual_size: Option<u64>,
}

/// Images that must be accepted.
pub fn valid() -> Vec<Sample> {
    let sample =
        |name, disk_format, data: Vec<u8>, virtual_size| Sample { name, disk_format, data, virtual_size };
    let whole = |name, disk_format, data: Vec<u8>| {
        let size = data.len() as u64;
        sample(name, disk_format, data, Some(size))
    };
    vec![
        sample("qcow2 version 2", "qcow2", qcow2(2), Some(DISK)),
        sample("qcow2 version 3", "qcow2", qcow2(3), Some(DISK)),
        sample("growing vhd", "vhd", vhd(DISK), Some(DISK)),
        sample("fixed vhd", "vhd", fixed_vhd(vec![0; 8 * KIB]), Some(8 * KIB as u64)),
        sample("fixed vhd of a partitioned disk", "vhd", fixed_vhd(mbr()), Some(mbr().len() as u64)),
        sample("vhdx", "vhdx", vhdx(DISK), Some(DISK)),
        sample("sparse vmdk", "vmdk", vmdk(&vmdk_descriptor("monolithicSparse")), Some(DISK)),
        sample("streamed vmdk", "vmdk", streamed_vmdk(), Some(DISK)),
        sample("vdi", "vdi", vdi(DISK), Some(DISK)),
        sample("iso", "iso", iso(20), Some(20 * 2048)),
        sample("hybrid iso", "iso", hybrid_iso(), Some(20 * 2048)),
        sample("luks", "luks", luks(1), Some(8 * KIB as u64)),
        whole("gpt", "gpt", gpt()),
        whole("mbr", "gpt", mbr()),
        whole("raw gpt", "raw", gpt()),
        whole("raw fat", "raw", fat()),
        whole("raw that ends like a vhd", "raw", fixed_vhd(vec![0; 8 * KIB])),
        whole("raw text", "raw", b"just a few words\n".to_vec()),
        sample("ploop", "ploop", b"WithoutFreeSpace".to_vec(), None),
        sample("nothing", "raw", Vec::new(), None),
    ]
}

/// Images that must be refused under every declaration that could match, required or not.
pub fn hostile() -> Vec<Sample> {
    let sample = |name, disk_format, data| Sample { name, disk_format, data, virtual_size: None };
    let mut all = vec![
        sample("A14 qcow2 with backing file", "qcow2", a14_backing_file()),
        sample("A14 qcow2 with data file", "qcow2", a14_data_file()),
        sample("A14 qcow2 with extended L2", "qcow2", a14_feature_bit(4)),
        sample("A14 qcow2 with unknown feature", "qcow2", a14_feature_bit(63)),
        sample("A14 qcow version 1", "qcow2", edited(qcow2(2), 4, &1_u32.to_be_bytes())),
        sample("A14 qcow2 version 4", "qcow2", edited(qcow2(3), 4, &4_u32.to_be_bytes())),
        sample("A14 qed", "qed", qed()),
        sample("A14 luks version 2", "luks", luks(2)),
        sample("A14 vhd with parent", "vhd", a14_vhd_parent()),
        sample("A14 vhdx with parent", "vhdx", a14_vhdx_parent()),
        sample("A14 vmdk with parent", "vmdk", a14_vmdk_parent()),
        sample("A14 qcow2 with backing file and boot mark", "qcow2", bootable(a14_backing_file())),
        sample("A14 qcow2 with data file and boot mark", "qcow2", bootable(a14_data_file())),
        sample("A14 qcow2 with backing file in a disc", "qcow2", disc(a14_backing_file())),
        sample("A15 flat vmdk with boot mark", "vmdk", bootable(vmdk(&vmdk_descriptor("monolithicFlat")))),
        sample("A15 flat vmdk in a disc", "vmdk", disc(vmdk(&vmdk_descriptor("monolithicFlat")))),
        sample("A15 vmdk text with boot mark", "vmdk", bootable(a15_text_without_version())),
        sample("A15 flat vmdk", "vmdk", vmdk(&vmdk_descriptor("monolithicFlat"))),
        sample("A15 split vmdk", "vmdk", vmdk(&vmdk_descriptor("twoGbMaxExtentSparse"))),
        sample("A15 vmdk of two types", "vmdk", a15_two_types()),
        sample("A15 vmdk extent path", "vmdk", a15_extent_path()),
        sample("A15 vmdk extra extent", "vmdk", a15_extra_extent()),
        sample("A15 vmdk tab extent", "vmdk", a15_tab_extent()),
        sample("A15 vmdk without extent", "vmdk", vmdk("createType=\"monolithicSparse\"\n")),
        sample("A15 vmdk unknown line", "vmdk", a15_unknown_line()),
        sample("A15 vmdk unterminated", "vmdk", a15_unterminated()),
        sample("A15 vmdk text only", "vmdk", vmdk_descriptor("monolithicFlat").into_bytes()),
        sample("A15 vmdk elsewhere", "vmdk", edited(sparse_vmdk(), 28, &2_u64.to_le_bytes())),
        sample("A15 vmdk footer", "vmdk", a15_footer_differs()),
        sample("A15 vmdk without capacity", "vmdk", edited(sparse_vmdk(), 12, &[0; 8])),
    ];
    all.extend(a17().into_iter().map(|(name, disk_format, data)| sample(name, disk_format, data)));
    all
}

/// Absurd sizes (A17).
fn a17() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let be32 = u32::to_be_bytes;
    let be64 = u64::to_be_bytes;
    let le64 = u64::to_le_bytes;
    vec![
        ("A17 qcow2 of 2^63 bytes", "qcow2", edited(qcow2(3), 24, &be64(1 << 63))),
        ("A17 qcow2 beyond its L1", "qcow2", edited(qcow2(3), 24, &be64(1 << 62))),
        ("A17 qcow2 cluster of 256 bytes", "qcow2", edited(qcow2(3), 20, &be32(8))),
        ("A17 qcow2 cluster of 4 MiB", "qcow2", edited(qcow2(3), 20, &be32(22))),
        ("A17 qcow2 cluster shift overflow", "qcow2", edited(qcow2(3), 20, &be32(u32::MAX))),
        ("A17 qcow2 huge L1", "qcow2", edited(qcow2(3), 36, &be32(u32::MAX))),
        ("A17 qcow2 L1 in header", "qcow2", edited(qcow2(3), 40, &be64(0))),
        ("A17 qcow2 L1 unaligned", "qcow2", edited(qcow2(3), 40, &be64(0x30001))),
        ("A17 qcow2 L1 on refcounts", "qcow2", edited(qcow2(3), 40, &be64(0x10000))),
        ("A17 qcow2 L1 at the end of time", "qcow2", edited(qcow2(3), 40, &be64(0xffff_ffff_ffff_0000))),
        ("A17 qcow2 huge refcounts", "qcow2", edited(qcow2(3), 56, &be32(u32::MAX))),
        ("A17 qcow2 wide refcounts", "qcow2", edited(qcow2(3), 96, &be32(7))),
        ("A17 qcow2 many snapshots", "qcow2", edited(qcow2(3), 60, &be32(65_537))),
        ("A17 qcow2 snapshots on L1", "qcow2", {
            edited(edited(qcow2(3), 60, &be32(1)), 64, &be64(0x30000))
        }),
        ("A17 qcow2 short header", "qcow2", edited(qcow2(3), 100, &be32(103))),
        ("A17 qcow2 long header", "qcow2", edited(qcow2(3), 100, &be32(0x10001))),
        ("A17 qcow2 long backing name", "qcow2", edited(qcow2(3), 16, &be32(1024))),
        ("A17 vhd of 2^63 bytes", "vhd", vhd(1 << 63)),
        ("A17 vhdx of 2^63 bytes", "vhdx", vhdx(1 << 63)),
        ("A17 vhdx region in headers", "vhdx", edited(vhdx(DISK), (192 << 10) + 32, &le64(4096))),
        ("A17 vhdx region overflow", "vhdx", edited(vhdx(DISK), (192 << 10) + 32, &le64(u64::MAX))),
        ("A17 vhdx many regions", "vhdx", edited(vhdx(DISK), (192 << 10) + 8, &u32::MAX.to_le_bytes())),
        ("A17 vhdx many items", "vhdx", edited(vhdx(DISK), (1 << 20) + 10, &u16::MAX.to_le_bytes())),
        ("A17 vhdx item in table", "vhdx", edited(vhdx(DISK), (1 << 20) + 48, &32_u32.to_le_bytes())),
        ("A17 vdi of 2^63 bytes", "vdi", vdi(1 << 63)),
        ("A17 vdi huge block map", "vdi", edited(vdi(DISK), 0x180, &u32::MAX.to_le_bytes())),
        ("A17 vmdk overflow", "vmdk", edited(sparse_vmdk(), 12, &le64(1 << 55))),
        ("A17 vmdk huge grain", "vmdk", edited(sparse_vmdk(), 20, &le64(u64::MAX))),
        ("A17 vmdk huge tables", "vmdk", edited(sparse_vmdk(), 44, &u32::MAX.to_le_bytes())),
        ("A17 vmdk huge directory", "vmdk", {
            edited(edited(sparse_vmdk(), 20, &le64(1)), 12, &le64(1 << 40))
        }),
        ("A17 vmdk huge descriptor", "vmdk", edited(sparse_vmdk(), 36, &le64(1025))),
        ("A17 vmdk descriptor overflow", "vmdk", edited(sparse_vmdk(), 36, &le64(u64::MAX))),
        ("A17 gpt huge table", "gpt", edited(gpt(), 512 + 80, &u32::MAX.to_le_bytes())),
        ("A17 gpt tiny entries", "gpt", edited(gpt(), 512 + 84, &1_u32.to_le_bytes())),
        ("A17 gpt long header", "gpt", edited(gpt(), 512 + 12, &u32::MAX.to_le_bytes())),
        ("A17 gpt behind other partitions", "gpt", edited(gpt(), 446 + 16 + 4, &[0x83])),
        ("A17 gpt of no partition", "gpt", edited(mbr(), 446 + 4, &[0])),
        ("A17 mbr boot flag", "gpt", edited(mbr(), 446, &[0x7f])),
    ]
}

/// `image` with `bytes` in place of what stood at `at`.
pub fn edited(mut image: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    put(&mut image, at, bytes);
    image
}

fn put(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if image.len() < at + bytes.len() {
        image.resize(at + bytes.len(), 0);
    }
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// An empty qcow2 of [`DISK`] bytes with clusters of 64 KiB.
pub fn qcow2(version: u32) -> Vec<u8> {
    let mut image = vec![0; 256 * KIB];
    put(&mut image, 0, b"QFI\xfb");
    put(&mut image, 4, &version.to_be_bytes());
    put(&mut image, 20, &16_u32.to_be_bytes());
    put(&mut image, 24, &DISK.to_be_bytes());
    put(&mut image, 36, &1_u32.to_be_bytes());
    put(&mut image, 40, &0x30000_u64.to_be_bytes());
    put(&mut image, 48, &0x10000_u64.to_be_bytes());
    put(&mut image, 56, &1_u32.to_be_bytes());
    if version >= 3 {
        put(&mut image, 96, &4_u32.to_be_bytes());
        put(&mut image, 100, &112_u32.to_be_bytes());
    }
    // four clusters in use: header, refcount table, refcount block, L1
    put(&mut image, 0x10000, &0x20000_u64.to_be_bytes());
    for cluster in 0..4 {
        put(&mut image, 0x20000 + 2 * cluster, &1_u16.to_be_bytes());
    }
    image
}

/// A qcow2 that reads `/etc/passwd` where it has no data of its own (CVE-2015-5163).
pub fn a14_backing_file() -> Vec<u8> {
    let name = b"/etc/passwd";
    let image = edited(qcow2(3), 8, &0x200_u64.to_be_bytes());
    let image = edited(image, 16, &(name.len() as u32).to_be_bytes());
    edited(image, 0x200, name)
}

/// A qcow2 whose data is in another file (CVE-2024-32498).
pub fn a14_data_file() -> Vec<u8> {
    let mut image = a14_feature_bit(2);
    put(&mut image, 112, &0x4441_5441_u32.to_be_bytes());
    put(&mut image, 116, &11_u32.to_be_bytes());
    put(&mut image, 120, b"/etc/passwd");
    image
}

/// A qcow2 with one incompatible feature.
pub fn a14_feature_bit(bit: u32) -> Vec<u8> {
    edited(qcow2(3), 72, &(1_u64 << bit).to_be_bytes())
}

/// A QED header.
pub fn qed() -> Vec<u8> {
    let mut image = edited(vec![0; 64 * KIB], 0, b"QED\0");
    put(&mut image, 4, &(64 * KIB as u32).to_le_bytes());
    put(&mut image, 48, &DISK.to_le_bytes());
    image
}

/// A footer of a VHD of that kind: 2 fixed, 3 growing, 4 differencing.
fn vhd_footer(size: u64, kind: u32) -> Vec<u8> {
    let mut footer = vec![0; 512];
    put(&mut footer, 0, b"conectix");
    put(&mut footer, 8, &2_u32.to_be_bytes());
    put(&mut footer, 12, &0x0001_0000_u32.to_be_bytes());
    put(&mut footer, 16, &(if kind == 2 { u64::MAX } else { 512 }).to_be_bytes());
    put(&mut footer, 40, &size.to_be_bytes());
    put(&mut footer, 48, &size.to_be_bytes());
    put(&mut footer, 60, &kind.to_be_bytes());
    let checksum = super::vhd::checksum(&footer);
    edited(footer, 64, &checksum.to_be_bytes())
}

/// A growing VHD without data.
pub fn vhd(size: u64) -> Vec<u8> {
    let mut image = vhd_footer(size, 3);
    put(&mut image, 512, b"cxsparse");
    put(&mut image, 512 + 1024, &[0xff; 512]);
    let footer = vhd_footer(size, 3);
    image.extend(footer);
    image
}

/// A VHD of fixed size around `disk`.
pub fn fixed_vhd(mut disk: Vec<u8>) -> Vec<u8> {
    let footer = vhd_footer(disk.len() as u64, 2);
    disk.extend(footer);
    disk
}

/// A VHD that only holds what differs from another one.
pub fn a14_vhd_parent() -> Vec<u8> {
    edited(vhd(DISK), 0, &vhd_footer(DISK, 4))
}

/// A growing VHDX without data.
pub fn vhdx(size: u64) -> Vec<u8> {
    const REGIONS: usize = 192 << 10;
    const METADATA: usize = 1 << 20;
    let mut image = vec![0; METADATA + 64 * KIB + 8];
    put(&mut image, 0, b"vhdxfile");
    put(&mut image, REGIONS, b"regi");
    put(&mut image, REGIONS + 8, &1_u32.to_le_bytes());
    put(&mut image, REGIONS + 16, &METADATA_REGION);
    put(&mut image, REGIONS + 32, &(METADATA as u64).to_le_bytes());
    put(&mut image, REGIONS + 40, &(1_u32 << 20).to_le_bytes());
    put(&mut image, METADATA, b"metadata");
    put(&mut image, METADATA + 10, &1_u16.to_le_bytes());
    put(&mut image, METADATA + 32, &DISK_SIZE_ITEM);
    put(&mut image, METADATA + 48, &(64 * KIB as u32).to_le_bytes());
    put(&mut image, METADATA + 52, &8_u32.to_le_bytes());
    put(&mut image, METADATA + 64 * KIB, &size.to_le_bytes());
    image
}

/// A VHDX that only holds what differs from another one.
pub fn a14_vhdx_parent() -> Vec<u8> {
    const METADATA: usize = 1 << 20;
    let image = edited(vhdx(DISK), METADATA + 10, &2_u16.to_le_bytes());
    edited(image, METADATA + 64, &PARENT_LOCATOR_ITEM)
}

/// A descriptor with one harmless extent.
pub fn vmdk_descriptor(create_type: &str) -> String {
    let sectors = DISK / 512;
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"{create_type}\"\n\n\
         # Extent description\nRW {sectors} SPARSE \"disk.vmdk\"\n\n# The Disk Data Base\n#DDB\n\n\
         ddb.virtualHWVersion = \"4\"\nddb.geometry.heads = \"16\"\nddb.adapterType = \"ide\"\n"
    )
}

/// A VMDK in one file with this descriptor in ten KiB of space.
pub fn vmdk(descriptor: &str) -> Vec<u8> {
    let mut image = vec![0; 64 * KIB];
    put(&mut image, 0, b"KDMV");
    put(&mut image, 4, &1_u32.to_le_bytes());
    put(&mut image, 8, &3_u32.to_le_bytes());
    put(&mut image, 12, &(DISK / 512).to_le_bytes());
    put(&mut image, 20, &128_u64.to_le_bytes());
    put(&mut image, 28, &1_u64.to_le_bytes());
    put(&mut image, 36, &20_u64.to_le_bytes());
    put(&mut image, 44, &512_u32.to_le_bytes());
    put(&mut image, 48, &21_u64.to_le_bytes());
    put(&mut image, 56, &26_u64.to_le_bytes());
    put(&mut image, 512, descriptor.as_bytes());
    image
}

fn sparse_vmdk() -> Vec<u8> {
    vmdk(&vmdk_descriptor("monolithicSparse"))
}

/// A VMDK made for streaming: its footer ends the file.
pub fn streamed_vmdk() -> Vec<u8> {
    let mut image = vmdk(&vmdk_descriptor("streamOptimized"));
    let footer = image[..512].to_vec();
    put(&mut image, 56, &u64::MAX.to_le_bytes());
    let mut marker = vec![0; 512];
    put(&mut marker, 0, &1_u64.to_le_bytes());
    put(&mut marker, 12, &3_u32.to_le_bytes());
    image.extend(marker);
    image.extend(footer);
    image.extend([0; 512]);
    image
}

/// A VMDK whose parent is a file of the host.
pub fn a14_vmdk_parent() -> Vec<u8> {
    vmdk(&format!("{}parentFileNameHint=\"/etc/passwd\"\n", vmdk_descriptor("monolithicSparse")))
}

/// A VMDK whose type depends on who reads it: letter case tells the two keys apart for some.
pub fn a15_two_types() -> Vec<u8> {
    vmdk(&format!("CREATETYPE=\"monolithicSparse\"\n{}", vmdk_descriptor("monolithicFlat")))
}

/// A VMDK whose only extent is a file of the host (CVE-2022-47951).
pub fn a15_extent_path() -> Vec<u8> {
    vmdk(&vmdk_descriptor("monolithicSparse").replace("disk.vmdk", "/etc/passwd"))
}

/// A descriptor alone that only those understand who are told that it is one.
fn a15_text_without_version() -> Vec<u8> {
    b"# caf\xc3\xa9\ncreateType=\"monolithicFlat\"\nversion=1\nRW 8 FLAT \"/etc/passwd\" 0\n".to_vec()
}

/// `image` with the mark of a partition table, without a table.
pub fn bootable(image: Vec<u8>) -> Vec<u8> {
    edited(image, 510, &[0x55, 0xaa])
}

/// `image` with the volume descriptor of an ISO.
pub fn disc(image: Vec<u8>) -> Vec<u8> {
    edited(image, 32 * KIB, &iso(20)[32 * KIB..34 * KIB])
}

/// A VMDK with a second extent.
pub fn a15_extra_extent() -> Vec<u8> {
    vmdk(&format!("{}RW 8 SPARSE \"other-image\"\n", vmdk_descriptor("monolithicSparse")))
}

/// A VMDK with an extent that looks like a setting to those who do not take a tab for white space.
pub fn a15_tab_extent() -> Vec<u8> {
    vmdk(&format!("{}RW\t8\tFLAT\t\"/etc/a=b\"\t0\n", vmdk_descriptor("monolithicSparse")))
}

/// A VMDK with a line of no known kind.
pub fn a15_unknown_line() -> Vec<u8> {
    vmdk(&format!("{}include /etc/passwd\n", vmdk_descriptor("monolithicSparse")))
}

/// A VMDK whose descriptor fills its space, so that some go on reading behind it.
pub fn a15_unterminated() -> Vec<u8> {
    let descriptor = vmdk_descriptor("monolithicSparse");
    vmdk(&format!("{descriptor}{}", "#".repeat(20 * 512 - descriptor.len())))
}

/// A streamed VMDK whose footer promises more than its header.
pub fn a15_footer_differs() -> Vec<u8> {
    let image = streamed_vmdk();
    let footer = image.len() - 1024;
    edited(image, footer + 12, &(1_u64 << 40).to_le_bytes())
}

/// A growing VDI without data.
pub fn vdi(size: u64) -> Vec<u8> {
    let mut image = edited(vec![0; 4 * KIB], 0, b"<<< QEMU VM Virtual Disk Image >>>\n");
    put(&mut image, 0x40, &0xbeda_107f_u32.to_le_bytes());
    put(&mut image, 0x44, &0x0001_0001_u32.to_le_bytes());
    put(&mut image, 0x170, &size.to_le_bytes());
    put(&mut image, 0x178, &(1_u32 << 20).to_le_bytes());
    put(&mut image, 0x180, &64_u32.to_le_bytes());
    image
}

/// An ISO of that many blocks of 2 KiB.
pub fn iso(blocks: u32) -> Vec<u8> {
    let mut image = vec![0; blocks as usize * 2 * KIB];
    put(&mut image, 32 * KIB, b"\x01CD001\x01");
    put(&mut image, 32 * KIB + 80, &blocks.to_le_bytes());
    put(&mut image, 32 * KIB + 84, &blocks.to_be_bytes());
    put(&mut image, 32 * KIB + 128, &2048_u16.to_le_bytes());
    put(&mut image, 32 * KIB + 130, &2048_u16.to_be_bytes());
    image
}

/// An ISO that also boots from a stick.
pub fn hybrid_iso() -> Vec<u8> {
    edited(iso(20), 446, &mbr()[446..512])
}

/// A disk with one Linux partition in an MBR.
pub fn mbr() -> Vec<u8> {
    let mut image = vec![0; 16 * KIB];
    put(&mut image, 446, &[0x80, 0, 2, 0, 0x83, 0, 2, 0]);
    put(&mut image, 446 + 8, &1_u32.to_le_bytes());
    put(&mut image, 446 + 12, &31_u32.to_le_bytes());
    put(&mut image, 510, &[0x55, 0xaa]);
    image
}

/// A disk with an empty GPT of 128 entries.
pub fn gpt() -> Vec<u8> {
    let mut image = edited(mbr(), 446, &[0x00, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    put(&mut image, 512, b"EFI PART\0\0\x01\0");
    put(&mut image, 512 + 12, &92_u32.to_le_bytes());
    put(&mut image, 512 + 24, &1_u64.to_le_bytes());
    put(&mut image, 512 + 72, &2_u64.to_le_bytes());
    put(&mut image, 512 + 80, &128_u32.to_le_bytes());
    put(&mut image, 512 + 84, &128_u32.to_le_bytes());
    image
}

/// A FAT file system without partition table: its boot sector has the signature of one.
pub fn fat() -> Vec<u8> {
    let mut image = edited(vec![0; 16 * KIB], 0, b"\xeb\x3c\x90mkfs.fat");
    put(&mut image, 0x10, &[2]);
    put(&mut image, 0x15, &[0xf8]);
    put(&mut image, 510, &[0x55, 0xaa]);
    image
}

/// A LUKS volume of 8 KiB behind a header of 4 KiB.
pub fn luks(version: u16) -> Vec<u8> {
    let mut image = edited(vec![0; 12 * KIB], 0, b"LUKS\xba\xbe");
    put(&mut image, 6, &version.to_be_bytes());
    put(&mut image, 8, b"aes");
    put(&mut image, 40, b"xts-plain64");
    put(&mut image, 72, b"sha256");
    put(&mut image, 104, &8_u32.to_be_bytes());
    put(&mut image, 108, &64_u32.to_be_bytes());
    image
}
