SELECT emit_metadefs_deleted($1, $2)
