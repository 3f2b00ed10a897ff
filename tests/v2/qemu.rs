//! Images as `qemu-img` makes them, which is where most of them come from: V2-217 to V2-219 and V2-224 with real files.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::uploads::{assert_empty, md5_hex, pattern};
use crate::support::api::{OWNER, Service};
use crate::support::file::ScratchFile;

const MIB: u64 = 1 << 20;
/// Size of the disks.
const SIZE: u64 = 4 * MIB;

/// What becomes of a file, whose virtual size is that which `qemu-img` reads from it unless it is said here.
enum Verdict {
    Taken,
    TakenWith(Value),
    Refused,
}
use Verdict::{Refused, Taken, TakenWith};

/// Runs `qemu-img` in a directory, which must succeed.
fn qemu_img<S: AsRef<OsStr>>(dir: &Path, arguments: impl IntoIterator<Item = S>) -> Output {
    let output = match Command::new("qemu-img").args(arguments).current_dir(dir).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("this test needs the program `qemu-img`; `scripts/setup qemu` installs it")
        }
        Err(error) => panic!("qemu-img: {error}"),
    };
    assert!(output.status.success(), "qemu-img: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// As [`qemu_img`], the arguments in one line.
fn run(dir: &Path, line: &str) {
    qemu_img(dir, line.split_whitespace());
}

/// The virtual size that `qemu-img` itself reads.
fn virtual_size(dir: &Path, format: &str, name: &str) -> Value {
    let output = qemu_img(dir, ["info", "-f", format, "--output=json", name]);
    let info: Value = serde_json::from_slice(&output.stdout).unwrap();
    info["virtual-size"].clone()
}

/// A disk of [`SIZE`] with some data, and as many zeros.
fn source(dir: &Path) -> PathBuf {
    let mut data = pattern(700_001);
    data.resize(usize::try_from(SIZE).unwrap(), 0);
    let path = dir.join("source.raw");
    fs::write(&path, data).unwrap();
    path
}

/// Uploads a file that was made under its declaration and checks what became of it.
async fn check(
    service: &Service,
    dir: &Path,
    (name, format, declared): (&str, &str, &str),
    verdict: Verdict,
) {
    let data = fs::read(dir.join(name)).unwrap();
    let document = json!({ "disk_format": declared, "container_format": "bare", "name": name });
    let id = service.create_id(OWNER, document).await;
    let answer = service.upload(OWNER, &id, &data).await;
    let expected = if matches!(verdict, Refused) { 415 } else { 204 };
    assert_eq!(answer.status, expected, "{name} as {declared}: {}", answer.text());
    let image = service.show(OWNER, &id).await;
    let size = match verdict {
        Refused => return assert_empty(&image),
        Taken => virtual_size(dir, format, name),
        TakenWith(size) => size,
    };
    assert_eq!(image["virtual_size"], size, "{name} as {declared}");
    assert_eq!((&image["size"], &image["checksum"]), (&json!(data.len()), &json!(md5_hex(&data))), "{name}");
}

#[tokio::test]
async fn v2_217_to_224_every_format_that_qemu_img_converts_to() {
    let scratch = ScratchFile::absent("disk");
    let dir = scratch.dir();
    source(dir);
    let service = Service::start().await;
    for (name, format, options, declared, verdict) in [
        ("plain", "qcow2", "", "qcow2", Taken),
        ("version 2", "qcow2", "-o compat=0.10", "qcow2", Taken),
        ("compressed", "qcow2", "-c", "qcow2", Taken),
        ("zstd", "qcow2", "-c -o compression_type=zstd", "qcow2", Taken),
        ("tiny clusters", "qcow2", "-o cluster_size=512", "qcow2", Taken),
        ("huge clusters", "qcow2", "-o cluster_size=2M", "qcow2", Taken),
        ("lazy", "qcow2", "-o lazy_refcounts=on", "qcow2", Taken),
        ("preallocated", "qcow2", "-o preallocation=metadata", "qcow2", Taken),
        ("narrow refcounts", "qcow2", "-o refcount_bits=1", "qcow2", Taken),
        ("wide refcounts", "qcow2", "-o refcount_bits=64", "qcow2", Taken),
        ("subclusters", "qcow2", "-o extended_l2=on", "qcow2", Refused),
        ("plain", "raw", "", "raw", TakenWith(json!(SIZE))),
        ("sparse", "vmdk", "", "vmdk", Taken),
        ("streamed", "vmdk", "-o subformat=streamOptimized", "vmdk", Taken),
        ("version 6", "vmdk", "-o compat6=on", "vmdk", Taken),
        ("for a bus", "vmdk", "-o adapter_type=lsilogic", "vmdk", Taken),
        ("flat", "vmdk", "-o subformat=monolithicFlat", "vmdk", Refused),
        ("split", "vmdk", "-o subformat=twoGbMaxExtentSparse", "vmdk", Refused),
        ("growing", "vpc", "", "vhd", Taken),
        ("growing exactly", "vpc", "-o force_size=on", "vhd", Taken),
        ("fixed", "vpc", "-o subformat=fixed", "vhd", Taken),
        ("fixed exactly", "vpc", "-o subformat=fixed,force_size=on", "vhd", Taken),
        ("growing", "vhdx", "", "vhdx", Taken),
        ("fixed", "vhdx", "-o subformat=fixed", "vhdx", Taken),
        ("big blocks", "vhdx", "-o block_size=16M", "vhdx", Taken),
        ("growing", "vdi", "", "vdi", Taken),
        ("fixed", "vdi", "-o static=on", "vdi", Taken),
        // whatever it is declared as
        ("plain", "qed", "", "raw", Refused),
        ("plain", "qed", "", "qcow2", Refused),
        ("version 1", "qcow", "", "qcow2", Refused),
        ("version 1", "qcow", "", "raw", Refused),
    ] {
        let name = format!("{format}-{}", name.replace(' ', "-"));
        run(dir, &format!("convert -f raw -O {format} {options} source.raw {name}"));
        check(&service, dir, (&name, format, declared), verdict).await;
    }
    service.assert_settled().await;
}

/// Disks without data, whose files hold nothing but structure.
#[tokio::test]
async fn v2_224_every_format_that_qemu_img_creates() {
    let scratch = ScratchFile::absent("disk");
    let dir = scratch.dir();
    let service = Service::start().await;
    for (format, declared) in [
        ("qcow2", "qcow2"),
        ("raw", "raw"),
        ("vmdk", "vmdk"),
        ("vpc", "vhd"),
        ("vhdx", "vhdx"),
        ("vdi", "vdi"),
    ] {
        // raw images are as large as their files
        for size in [if format == "raw" { "3M" } else { "3G" }, "1M"] {
            let name = format!("{format}-{size}");
            run(dir, &format!("create -q -f {format} {name} {size}"));
            check(&service, dir, (&name, format, declared), Taken).await;
        }
    }
    service.assert_settled().await;
}

/// V2-218, V2-219 and A14 with files whose references work.
#[tokio::test]
async fn v2_218_219_and_a14_images_of_qemu_img_that_read_other_files() {
    let scratch = ScratchFile::absent("disk");
    let dir = scratch.dir();
    source(dir);
    let service = Service::start().await;
    run(dir, "create -q -f qcow2 -b source.raw -F raw child");
    run(dir, "create -q -f qcow2 -o data_file=outside.raw,data_file_raw=on divided 4M");
    run(dir, "create -q -f vmdk parent.vmdk 4M");
    run(dir, "create -q -f vmdk -b parent.vmdk -F vmdk child.vmdk");
    for (name, format, declared) in [
        ("child", "qcow2", "qcow2"),
        ("child", "qcow2", "raw"),
        ("divided", "qcow2", "qcow2"),
        ("divided", "qcow2", "raw"),
        ("child.vmdk", "vmdk", "vmdk"),
        ("child.vmdk", "vmdk", "raw"),
    ] {
        check(&service, dir, (name, format, declared), Refused).await;
    }
    assert!(service.bucket.keys().await.is_empty());
    // the parent stands for itself, and a child that was merged with it as well
    check(&service, dir, ("parent.vmdk", "vmdk", "vmdk"), Taken).await;
    run(dir, "convert -O qcow2 child merged");
    check(&service, dir, ("merged", "qcow2", "qcow2"), Taken).await;
    // snapshots and bitmaps lie within the image
    run(dir, "snapshot -c one merged");
    run(dir, "bitmap --add merged two");
    check(&service, dir, ("merged", "qcow2", "qcow2"), Taken).await;
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_224_an_encrypted_volume_of_qemu_img() {
    let scratch = ScratchFile::absent("disk");
    let dir = scratch.dir();
    let service = Service::start_with(|settings| settings.images.disk_formats.push("luks".to_owned())).await;
    run(dir, "create -q -f luks --object secret,id=key,data=abc -o key-secret=key,iter-time=10 volume 1M");
    // reading its size takes the key, and it is no secret to whoever made it
    check(&service, dir, ("volume", "luks", "luks"), TakenWith(json!(MIB))).await;
    let whole = fs::metadata(dir.join("volume")).unwrap().len();
    check(&service, dir, ("volume", "luks", "raw"), TakenWith(json!(whole))).await;
    service.assert_settled().await;
}
