//! Metadata definitions that `vitrine dev` starts with, in files as operators write them (metadefs.md §13).

use anyhow::Context;

use crate::catalog::Catalog;
use crate::catalog::metadefs::MergeMode;
use crate::config::Config;
use crate::flows::metadef_files::load_text;

/// Each file with its name.
pub const FILES: [(&str, &str); 14] = [
    ("aggregate", include_str!("metadefs/aggregate.json")),
    ("cpu_pinning", include_str!("metadefs/cpu_pinning.json")),
    ("cpu_topology", include_str!("metadefs/cpu_topology.json")),
    ("guest_agent", include_str!("metadefs/guest_agent.json")),
    ("image_common", include_str!("metadefs/image_common.json")),
    ("libvirt_image", include_str!("metadefs/libvirt_image.json")),
    ("numa", include_str!("metadefs/numa.json")),
    ("operating_system", include_str!("metadefs/operating_system.json")),
    ("quota", include_str!("metadefs/quota.json")),
    ("secure_boot", include_str!("metadefs/secure_boot.json")),
    ("service_levels", include_str!("metadefs/service_levels.json")),
    ("traits", include_str!("metadefs/traits.json")),
    ("volume_type", include_str!("metadefs/volume_type.json")),
    ("watchdog", include_str!("metadefs/watchdog.json")),
];

/// Loads what is not there yet; what there is stays as its users made it.
///
/// # Errors
/// When the database fails.
pub async fn load(config: &Config) -> anyhow::Result<()> {
    let catalog = Catalog::new(&config.database).context("database")?;
    for (name, text) in FILES {
        load_text(&catalog, text, MergeMode::Skip)
            .await
            .with_context(|| format!("cannot load the definitions {name}"))?;
    }
    Ok(())
}
