FROM images WHERE id = $1
