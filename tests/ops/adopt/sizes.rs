//! How much is read at a time, and of one image.

use vitrine::catalog::glance::Glance;

use super::*;

#[tokio::test]
async fn a_page_ends_at_a_number_of_bytes() {
    let glance = GlanceTables::create(Typing::Postgres).await;
    glance
        .sql(
            "INSERT INTO images (id, status) SELECT gen_random_uuid(), 'queued' FROM generate_series(1, 5);
             INSERT INTO image_properties (image_id, name, value)
               SELECT id, k, repeat('x', 1 << 20) FROM images, generate_series(1, 12) k",
        )
        .await;
    let mut open = Glance::open(&glance.secret_url(), glance.schema).await.unwrap();
    let mut pages = Vec::new();
    loop {
        let page = open.images(64).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.iter().all(|record| !record.overfull && record.properties.len() == 12));
        pages.push(page.len());
    }
    assert_eq!(pages, [3, 2], "12 MiB each");
}

#[tokio::test]
async fn an_image_is_too_large_by_its_bytes_too() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let greedy = image(&glance, &service.bucket, json!({}), DATA).await;
    let next = image(&glance, &service.bucket, json!({}), DATA).await;
    let fill = format!(
        "INSERT INTO image_properties (image_id, name, value)
         SELECT '{greedy}', k, repeat('x', 1 << 20) FROM generate_series(1, 17) k"
    );
    glance.sql(&fill).await;
    let told = adopt(&config, &glance, 1, &["--apply"]);
    assert!(told.said(&greedy, "left_out").contains("or longer ones"), "{}", told.output);
    assert_eq!(service.download(OWNER, &next).await.expect(200).body, DATA);
}

/// Tags that were removed and added again leave rows behind.
#[tokio::test]
async fn deleted_rows_do_not_count() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::MySql).await;
    let id = image(&glance, &service.bucket, json!({}), DATA).await;
    glance
        .sql(&format!(
            "INSERT INTO image_tags (image_id, value, deleted) SELECT '{id}', 'a', 1 FROM generate_series(1, 10001);
             INSERT INTO image_properties (image_id, name, value, deleted)
               SELECT '{id}', k, repeat('x', 1 << 20), 1 FROM generate_series(1, 17) k;
             INSERT INTO image_members (image_id, member, deleted) SELECT '{id}', 'm', 1 FROM generate_series(1, 10001);
             INSERT INTO image_tags (image_id, value) VALUES ('{id}', 'b')"
        ))
        .await;
    adopt(&config, &glance, 0, &["--apply"]);
    assert_eq!(service.show(OWNER, &id).await["tags"], json!(["b"]));
}
