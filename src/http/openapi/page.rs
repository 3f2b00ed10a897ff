//! The document as a page: one list of operations by tag that needs no script and loads nothing from elsewhere.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::http::fault::escape;

/// Style sheet of the page.
pub const STYLE: &str = include_str!("style.css");

/// The page for a document.
pub fn render(document: &Value) -> String {
    let title = text(&document["info"]["title"]);
    let version = text(&document["info"]["version"]);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"docs/style.css\"></head>\n<body><header><h1>{title} {version}</h1>{}\
         <p>The same for programs: <a href=\"openapi.json\">openapi.json</a></p></header>\n",
        prose(&document["info"]["description"])
    );
    let tags: Vec<Tag<'_>> = items(&document["tags"]).map(|tag| Tag::of(tag, document)).collect();
    let tags: Vec<_> = tags.into_iter().filter(|tag| !tag.operations.is_empty()).collect();
    navigation(&mut page, &tags);
    page.push_str("<main>\n");
    for tag in &tags {
        section(&mut page, tag, document);
    }
    schemas(&mut page, document);
    page.push_str("</main></body></html>\n");
    page
}

/// A tag with its operations in the order of their paths.
struct Tag<'a> {
    name: String,
    description: &'a Value,
    operations: Vec<(&'a str, &'a str, &'a Value)>,
}

impl<'a> Tag<'a> {
    fn of(tag: &'a Value, document: &'a Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in entries(&document["paths"]) {
            for (method, operation) in entries(item) {
                if items(&operation["tags"]).any(|name| *name == tag["name"]) {
                    operations.push((path.as_str(), method.as_str(), operation));
                }
            }
        }
        Self { name: text(&tag["name"]), description: &tag["description"], operations }
    }

    fn anchor(&self) -> String {
        format!("tag-{}", self.name.replace(' ', "-"))
    }
}

fn navigation(page: &mut String, tags: &[Tag<'_>]) {
    page.push_str("<nav><ul>");
    for tag in tags {
        put(page, format_args!("<li><a href=\"#{}\">{}</a></li>", tag.anchor(), tag.name));
    }
    page.push_str("<li><a href=\"#schemas\">schemas of bodies</a></li></ul></nav>\n");
}

fn section(page: &mut String, tag: &Tag<'_>, document: &Value) {
    put(
        page,
        format_args!("<section id=\"{}\"><h2>{}</h2>{}\n", tag.anchor(), tag.name, prose(tag.description)),
    );
    for (path, method, operation) in &tag.operations {
        let id = text(&operation["operationId"]);
        put(
            page,
            format_args!(
                "<details id=\"{id}\"><summary><b class=\"{method}\">{}</b> <code>{}</code> {}</summary>{}",
                method.to_uppercase(),
                escape(path),
                inline(&operation["summary"]),
                prose(&operation["description"]),
            ),
        );
        parameters(page, &operation["parameters"]);
        body(page, &operation["requestBody"]);
        responses(page, &operation["responses"], document);
        put(page, format_args!("<p class=\"id\">operation <code>{id}</code></p></details>\n"));
    }
    page.push_str("</section>\n");
}

fn parameters(page: &mut String, parameters: &Value) {
    let rows: String = items(parameters)
        .map(|parameter| {
            let need = if parameter["required"] == Value::Bool(true) { "required" } else { "" };
            format!(
                "<tr><td><code>{}</code></td><td>{} {need}</td><td>{}</td><td>{}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                kind(&parameter["schema"]),
                inline(&parameter["description"]),
            )
        })
        .collect();
    table(page, "Parameters", &rows);
}

fn body(page: &mut String, body: &Value) {
    if body.is_null() {
        return;
    }
    put(page, format_args!("<h3>Body</h3>{}", prose(&body["description"])));
    put(page, format_args!("<ul>{}</ul>", media(&body["content"], "<li>", "</li>")));
}

fn responses(page: &mut String, responses: &Value, document: &Value) {
    let rows: String = entries(responses)
        .map(|(status, response)| {
            let response = resolve(response, document);
            let headers: Vec<String> = entries(&response["headers"])
                .map(|(name, _)| format!("<code>{}</code>", escape(name)))
                .collect();
            format!(
                "<tr><td><code>{status}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                inline(&response["description"]),
                if status.starts_with(['4', '5']) {
                    String::new()
                } else {
                    media(&response["content"], "", "<br>")
                },
                headers.join(" "),
            )
        })
        .collect();
    table(page, "Responses", &rows);
}

fn table(page: &mut String, title: &str, rows: &str) {
    if !rows.is_empty() {
        put(page, format_args!("<h3>{title}</h3><table>{rows}</table>"));
    }
}

fn schemas(page: &mut String, document: &Value) {
    page.push_str("<section id=\"schemas\"><h2>schemas of bodies</h2>\n");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        let listing = serde_json::to_string_pretty(schema).unwrap_or_default();
        let (name, listing) = (escape(name), escape(&listing));
        put(
            page,
            format_args!(
                "<details id=\"schema-{name}\"><summary><code>{name}</code></summary><pre>{listing}</pre></details>\n"
            ),
        );
    }
    page.push_str("</section>\n");
}

/// Media types with their schemas.
fn media(content: &Value, before: &str, after: &str) -> String {
    let media = entries(content).map(|(media, content)| {
        format!("{before}<code>{}</code> {}{after}", escape(media), kind(&content["schema"]))
    });
    media.collect()
}

/// A schema in a few words, linked where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    let mut words = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        one => text(one),
    };
    if schema["items"].is_object() {
        put(&mut words, format_args!(" of {}", kind(&schema["items"])));
    }
    if let Some(choices) = schema["enum"].as_array() {
        let choices: Vec<String> =
            choices.iter().map(|choice| format!("<code>{}</code>", text(choice))).collect();
        put(&mut words, format_args!(": {}", choices.join(", ")));
    }
    for (keyword, sign) in
        [("minimum", "≥"), ("maximum", "≤"), ("maxLength", "length ≤"), ("default", "default")]
    {
        if !schema[keyword].is_null() {
            put(&mut words, format_args!(", {sign} {}", text(&schema[keyword])));
        }
    }
    words
}

/// What a reference points at, or the value itself.
fn resolve<'a>(value: &'a Value, document: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#')));
    target.unwrap_or(value)
}

/// Paragraphs.
fn prose(value: &Value) -> String {
    let paragraphs = value.as_str().unwrap_or_default().split("\n\n").filter(|text| !text.is_empty());
    paragraphs.map(|paragraph| format!("<p>{}</p>", code(paragraph))).collect()
}

fn inline(value: &Value) -> String {
    code(value.as_str().unwrap_or_default())
}

/// Escapes text, in which what stands between backticks is code.
fn code(words: &str) -> String {
    let parts = words.split('`').enumerate().map(|(at, part)| match at % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    });
    parts.collect()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| if value.is_null() { String::new() } else { escape(&value.to_string()) }, escape)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn put(page: &mut String, words: std::fmt::Arguments<'_>) {
    // writing to a string cannot fail
    let _ = page.write_fmt(words);
}
