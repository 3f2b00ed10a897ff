SELECT count(*) FROM images WHERE owner = $1 AND NOT deleted
