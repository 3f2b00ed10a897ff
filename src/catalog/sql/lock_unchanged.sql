SELECT 1 FROM images WHERE id = $1 AND revision = $2 AND NOT deleted FOR UPDATE
