FROM images
LEFT JOIN image_members ON image_members.image_id = images.id AND image_members.member = $2
WHERE images.id = $1
