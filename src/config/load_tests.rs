#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::super::units::ByteSize;
use super::super::{Checksum, Config, IdentityMode, PercentDecode, Store, validate};
use super::{Shape, print, read};

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn from(file: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    read(&Config::default(), Some((Path::new("vitrine.toml"), file)), env(variables))
        .map_err(|e| e.to_string())
}

fn exposed(secret: Option<&SecretString>) -> &str {
    secret.unwrap().expose_secret()
}

/// A configuration without fault.
fn sound() -> Config {
    let file = r#"
        [database]
        url = "postgres://vitrine:hunter2@db/vitrine"
        [stores.s3]
        bucket = "images"
        [identity.keystone]
        auth_url = "https://keystone/v3"
        username = "vitrine"
        password = "hunter3"
    "#;
    from(file, &[]).unwrap()
}

#[test]
fn environment_wins_over_file_and_file_over_defaults() {
    let file = "[server]\nv1 = false\nidle_timeout = '5s'\n[jobs]\nconcurrency = 9\n";
    let config = from(file, &[("VITRINE__SERVER__V1", "true")]).unwrap();
    assert!(config.server.v1);
    assert_eq!(config.server.idle_timeout.as_secs(), 5);
    assert_eq!(config.jobs.concurrency, 9);
    assert_eq!(config.database.max_connections, 16);
}

#[test]
fn unknown_keys_name_path_origin_and_nearest() {
    let problem = from("[server]\nbnid = '1'\n", &[]).unwrap_err();
    assert_eq!(problem, "unknown key `server.bnid` (vitrine.toml); the nearest known key is `server.bind`");

    let problem = from("", &[("VITRINE__STORES__EU__BUKCET", "x")]).unwrap_err();
    assert_eq!(
        problem,
        "unknown key `stores.eu.bukcet` (environment variable VITRINE__STORES__EU__BUKCET); the nearest known \
         key is `stores.eu.bucket`"
    );

    let problem = from("max_connections = 3", &[]).unwrap_err();
    assert!(problem.contains("nearest known key is `database.max_connections`"), "{problem}");

    // where none is near, none is named
    let problem = from("[DEFAULT]\ndebug = true\n", &[]).unwrap_err();
    assert_eq!(problem, "unknown key `DEFAULT` (vitrine.toml)");

    let problem = from("", &[("VITRINE__SERVER__BIND__PORT", "1")]).unwrap_err();
    assert!(problem.starts_with("unknown key `server.bind.port`"), "{problem}");
}

#[test]
fn every_unknown_key_is_reported() {
    let problem = from("a = 1\n[jobs]\nb = 2", &[("VITRINE__C", "3")]).unwrap_err();
    assert_eq!(problem.lines().count(), 3, "{problem}");
}

#[test]
fn text_of_digits_stays_text() {
    let all = [
        ("VITRINE__STORES__S3__BUCKET", "12345"),
        ("VITRINE__STORES__S3__PREFIX", "007"),
        ("VITRINE__STORES__S3__REGION", "1"),
        ("VITRINE__STORES__S3__ENDPOINT", "0"),
        ("VITRINE__STORES__S3__DESCRIPTION", "true"),
        ("VITRINE__STORES__S3__ACCESS_KEY", "0123"),
        ("VITRINE__STORES__S3__SECRET_KEY", "1e5"),
        ("VITRINE__IDENTITY__KEYSTONE__USERNAME", "42"),
        ("VITRINE__IDENTITY__KEYSTONE__PASSWORD", "000123"),
        ("VITRINE__IDENTITY__KEYSTONE__REGION", "9"),
        ("VITRINE__DATABASE__URL", "5"),
        ("VITRINE__DEFAULT_STORE", "1"),
    ];
    let config = from("", &all).unwrap();
    let store = &config.stores["s3"];
    assert_eq!((store.bucket.as_str(), store.prefix.as_str()), ("12345", "007"));
    assert_eq!(store.region.as_deref(), Some("1"));
    assert_eq!(store.endpoint.as_deref(), Some("0"));
    assert_eq!(store.description.as_deref(), Some("true"));
    assert_eq!(exposed(store.access_key.as_ref()), "0123");
    assert_eq!(exposed(store.secret_key.as_ref()), "1e5");
    assert_eq!(config.identity.keystone.username, "42");
    assert_eq!(exposed(config.identity.keystone.password.as_ref()), "000123");
    assert_eq!(exposed(config.database.url.as_ref()), "5");
    assert_eq!(config.default_store.as_deref(), Some("1"));
}

#[test]
fn environment_values_take_the_type_of_their_key() {
    let all = [
        ("VITRINE__SERVER__BIND", "[::]:80"),
        ("VITRINE__SERVER__V1", "0"),
        ("VITRINE__SERVER__V1_PERCENT_DECODE", "off"),
        ("VITRINE__IMAGES__SCHEMA_EXTENSION_FILE", "2026"),
        ("VITRINE__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8"),
        ("VITRINE__IMPORT__ALLOWED_PORTS", "[80,8080]"),
        ("VITRINE__IMPORT__ALLOWED_HOSTS", r#"["a.example", "1"]"#),
        ("VITRINE__IMPORT__DENIED_HOSTS", "12,b"),
        ("VITRINE__LIMITS__IMAGE_COUNT_TOTAL", "-1"),
        ("VITRINE__LIMITS__IMAGE_SIZE_CAP", "5GiB"),
        ("VITRINE__JOBS__LEASE", "90"),
        ("VITRINE__STORES__S3__PATH_STYLE", "yes"),
        ("VITRINE__STORES__S3__PART_SIZE", "8388608"),
        ("VITRINE__STORES__S3__CHECKSUM", "when_supported"),
        ("VITRINE__IDENTITY__MODE", "none"),
    ];
    let config = from("", &all).unwrap();
    assert_eq!(config.server.bind.to_string(), "[::]:80");
    assert!(!config.server.v1);
    assert_eq!(config.server.v1_percent_decode, PercentDecode::Off);
    assert_eq!(config.images.schema_extension_file.as_deref(), Some(Path::new("2026")));
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.import.allowed_ports, [80, 8080]);
    assert_eq!(config.import.allowed_hosts, ["a.example", "1"]);
    assert_eq!(config.import.denied_hosts, ["12", "b"]);
    assert_eq!(config.limits.image_count_total, -1);
    assert_eq!(config.limits.image_size_cap, ByteSize(5 << 30));
    assert_eq!(config.jobs.lease.as_secs(), 90);
    assert_eq!(config.stores["s3"].path_style, Some(true));
    assert_eq!(config.stores["s3"].part_size, Some(ByteSize(8 << 20)));
    assert_eq!(config.stores["s3"].checksum, Checksum::WhenSupported);
    assert_eq!(config.identity.mode, IdentityMode::None);
}

#[test]
fn wrong_values_name_key_and_origin() {
    let problem = from("", &[("VITRINE__JOBS__CONCURRENCY", "many")]).unwrap_err();
    assert_eq!(
        problem,
        "`jobs.concurrency`: expected a whole number (environment variable VITRINE__JOBS__CONCURRENCY)"
    );
    let problem = from("", &[("VITRINE__SERVER__BIND", "here")]).unwrap_err();
    assert!(problem.starts_with("`server.bind`: "), "{problem}");
    assert!(problem.ends_with("(environment variable VITRINE__SERVER__BIND)"), "{problem}");
    let problem = from("[data]\nredirect = 'maybe'", &[]).unwrap_err();
    assert!(problem.starts_with("`data.redirect`: ") && problem.ends_with("(vitrine.toml)"), "{problem}");
    assert_eq!(problem.lines().count(), 1);
    let problem = from("", &[("VITRINE__SERVER", "x")]).unwrap_err();
    assert!(problem.contains("this is a section"), "{problem}");
    let problem = from("[server]\nv1 = \n", &[]).unwrap_err();
    assert!(problem.starts_with("vitrine.toml, line 2: ") && problem.lines().count() == 1, "{problem}");
}

#[test]
fn empty_variables_count_as_unset() {
    let config = from("", &[("VITRINE__STORES__S3__ENDPOINT", ""), ("DATABASE_URL", "")]).unwrap();
    assert!(config.stores.is_empty() && config.database.url.is_none());
}

#[test]
fn secrets_come_from_files() {
    let path = std::env::temp_dir().join(format!("vitrine-secret-{}", uuid::Uuid::new_v4()));
    std::fs::write(&path, "0123 \n\n").unwrap();
    let file = path.to_str().unwrap();
    let config = from("", &[("VITRINE__IDENTITY__KEYSTONE__PASSWORD_FILE", file)]).unwrap();
    assert_eq!(exposed(config.identity.keystone.password.as_ref()), "0123 \n", "one line break is cut");

    let both = [("VITRINE__STORES__A__SECRET_KEY_FILE", file), ("VITRINE__STORES__A__SECRET_KEY", "x")];
    assert_eq!(
        from("", &both).unwrap_err(),
        "both `stores.a.secret_key` and `stores.a.secret_key_file` are set"
    );
    std::fs::remove_file(&path).unwrap();

    let problem = from("", &[("VITRINE__DATABASE__URL_FILE", file)]).unwrap_err();
    assert!(problem.starts_with("`database.url_file`: cannot read "), "{problem}");
}

#[test]
fn database_url_is_the_last_resort_before_the_base() {
    let standard = ("DATABASE_URL", "postgres://standard/x");
    let config = from("", &[standard]).unwrap();
    assert_eq!(exposed(config.database.url.as_ref()), "postgres://standard/x");
    let config = from("[database]\nurl = 'postgres://file/x'", &[standard]).unwrap();
    assert_eq!(exposed(config.database.url.as_ref()), "postgres://file/x");

    let mut base = Config::default();
    base.database.url = Some(SecretString::from("postgres://base/x"));
    let config = read(&base, None, env(&[standard])).unwrap();
    assert_eq!(exposed(config.database.url.as_ref()), "postgres://standard/x");
    let config = read(&base, None, env(&[])).unwrap();
    assert_eq!(exposed(config.database.url.as_ref()), "postgres://base/x");
}

#[test]
fn base_keeps_its_secrets_and_yields_to_the_environment() {
    let mut base = Config::default();
    let secret_key = Some(SecretString::from("devsecret"));
    let store = Store { bucket: "dev".to_owned(), secret_key, ..Store::default() };
    base.stores.insert("s3".to_owned(), store);
    let config = read(&base, None, env(&[("VITRINE__STORES__S3__BUCKET", "mine")])).unwrap();
    assert_eq!(config.stores["s3"].bucket, "mine");
    assert_eq!(exposed(config.stores["s3"].secret_key.as_ref()), "devsecret");
    assert_eq!(config.default_store.as_deref(), Some("s3"));
    let config = read(&base, None, env(&[("VITRINE__STORES__S3__SECRET_KEY", "other")])).unwrap();
    assert_eq!(exposed(config.stores["s3"].secret_key.as_ref()), "other");
}

/// A53: a canary in every secret appears neither in print nor in `Debug`.
#[test]
fn secrets_are_never_shown() {
    let file = r#"
        [database]
        url = "postgres://vitrine:CANARY@db:5433/vitrine?sslmode=require"
        [stores.s3]
        bucket = "images"
        endpoint = "https://user:CANARY@s3.example"
        access_key = "CANARY"
        secret_key = "CANARY"
        [identity.keystone]
        password = "CANARY"
        [notifications]
        webhook = { url = "https://user:CANARY@hook.example/", secret = "CANARY" }
        amqp.url = "amqp://user:CANARY@broker.example"
    "#;
    let config = from(file, &[]).unwrap();
    let shown = print(&config);
    assert!(!shown.contains("CANARY"), "{shown}");
    assert!(shown.contains("postgres://vitrine:[redacted]@db:5433/vitrine?sslmode=require"), "{shown}");
    assert!(shown.contains("secret_key = \"[redacted]\""), "{shown}");
    assert!(!format!("{:?}", config.stores["s3"].secret_key).contains("CANARY"));
    for url in ["host=db password=CANARY", "postgres://db/x?password=CANARY", "postgres://u:CANARY@a,b/x"] {
        let config = from("", &[("DATABASE_URL", url)]).unwrap();
        assert!(!print(&config).contains("CANARY"), "{url}");
    }
}

#[test]
fn what_is_printed_can_be_read_back() {
    let config = sound();
    let again = from(&print(&config), &[]).unwrap();
    assert_eq!(print(&again), print(&config));
}

#[test]
fn a_sound_configuration_passes() {
    validate(&sound()).unwrap();
}

#[test]
fn all_problems_are_reported_at_once() {
    let problems = validate(&Config::default()).unwrap_err().to_string();
    for part in ["`database.url`", "no store", "keystone.auth_url", "keystone.username", "keystone.password"]
    {
        assert!(problems.contains(part), "{part} missing in: {problems}");
    }
}

#[test]
fn each_rule_is_checked() {
    type Break = fn(&mut Config);
    let cases: [(&str, Break); 23] = [
        ("`default_store`", |c| c.default_store = Some("nope".to_owned())),
        ("default_store", |c| {
            c.stores.insert("b".to_owned(), c.stores["s3"].clone());
            c.default_store = None;
        }),
        ("part_size", |c| c.stores.get_mut("s3").unwrap().part_size = Some(ByteSize((5 << 20) - 1))),
        ("part_size", |c| {
            c.stores.get_mut("s3").unwrap().part_size = Some(ByteSize((5 << 30) + 1));
            c.data.memory_budget = ByteSize(64 << 30);
        }),
        ("bucket", |c| c.stores.get_mut("s3").unwrap().bucket.clear()),
        ("reserved", |c| {
            c.stores.insert("os_glance_staging".to_owned(), c.stores["s3"].clone());
        }),
        ("loopback", |c| {
            c.identity.mode = IdentityMode::None;
            c.server.bind = ([0, 0, 0, 0], 9292).into();
        }),
        ("trusted_networks", |c| c.identity.mode = IdentityMode::Header),
        ("password", |c| c.identity.keystone.password = None),
        ("api_limit_max", |c| c.limits.api_limit_max = 0),
        ("memory_budget", |c| c.data.memory_budget = ByteSize((32 << 20) - 1)),
        ("cors_origins", |c| c.server.cors_origins.push("*".to_owned())),
        ("import.methods", |c| c.import.methods.push("magic".to_owned())),
        ("import.plugins", |c| c.import.plugins.push("image_conversion".to_owned())),
        ("import.plugins", |c| c.import.plugins.push("magic".to_owned())),
        ("import.inject", |c| drop(c.import.inject.insert("owner".to_owned(), "me".to_owned()))),
        ("no event and no group `image.creat`", |c| {
            c.notifications.disabled = vec!["task".to_owned(), "image.creat".to_owned()];
        }),
        ("needs `notifications.webhook.secret`", |c| {
            c.notifications.webhook.url = Some("http://a".to_owned());
        }),
        ("`notifications.webhook.url` must", |c| {
            c.notifications.webhook.url = Some("ftp://a".to_owned());
            c.notifications.webhook.secret = Some("s".into());
        }),
        ("must be an amqp URL", |c| c.notifications.amqp.url = Some("amqps://a".into())),
        ("topics", |c| {
            c.notifications.amqp.url = Some("amqp://a".into());
            c.notifications.amqp.topics.clear();
        }),
        ("notifications.ttl", |c| c.notifications.ttl = std::time::Duration::ZERO),
        ("header_timeout", |c| c.server.header_timeout = std::time::Duration::ZERO),
    ];
    for (part, break_it) in cases {
        let mut config = sound();
        break_it(&mut config);
        let problems = validate(&config).expect_err(part);
        assert_eq!(problems.problems().len(), 1, "{problems}");
        assert!(problems.to_string().contains(part), "{part} missing in: {problems}");
    }
    let mut config = sound();
    config.identity.mode = IdentityMode::None;
    config.server.bind = ([0, 0, 0, 0], 9292).into();
    config.identity.none.allow_remote = true;
    validate(&config).unwrap();
}

/// Each key the tree has can be set through the environment.
#[test]
fn the_shape_covers_the_tree() {
    let shape = Shape::new();
    let printed: figment::value::Dict =
        figment::value::Value::serialize(sound()).unwrap().into_dict().unwrap();
    assert_eq!(shape.unknown_keys(&printed), Vec::<Vec<String>>::new());
    let path: Vec<String> = ["import", "allowed_ports"].map(str::to_owned).into();
    assert!(shape.find(&path).is_some());
}

/// The names of properties are the operator's own.
#[test]
fn properties_of_imports_have_names_of_their_own() {
    let config = from("[import]\ninject = { pipeline = 'imported' }\n", &[]).unwrap();
    assert_eq!(config.import.inject["pipeline"], "imported");
}
