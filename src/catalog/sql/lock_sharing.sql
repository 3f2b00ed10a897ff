SELECT visibility = 'shared' AS shared FROM images WHERE id = $1 AND NOT deleted FOR UPDATE
