SELECT coalesce(protected, false) AS protected FROM metadef_namespaces WHERE id = $1 FOR NO KEY UPDATE
