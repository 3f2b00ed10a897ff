  image_members.image_id, image_members.member, image_members.can_share, image_members.status::text AS member_status,
  image_members.created_at AS member_created_at, image_members.updated_at AS member_updated_at
