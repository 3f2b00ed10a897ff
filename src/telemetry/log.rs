//! Log lines: one JSON object each, or text for people.
//!
//! A JSON line carries the fields of its event and of all our spans around it at top level, the inner ones winning,
//! together with the ids of the trace. Filters thin out events, never the spans that give events their context.

use std::fmt::Debug;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use opentelemetry::trace::TraceContextExt as _;
use serde::Serializer as _;
use serde::ser::SerializeMap as _;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, FilterFn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogFormat, Telemetry};
use crate::error::Chain;

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Servers.
    Stdout,
    /// Commands whose result is their output.
    Stderr,
}

impl Output {
    fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => std::io::stdout().is_terminal(),
            Self::Stderr => std::io::stderr().is_terminal(),
        }
    }

    fn writer(self) -> BoxMakeWriter {
        match self {
            Self::Stdout => BoxMakeWriter::new(std::io::stdout),
            Self::Stderr => BoxMakeWriter::new(std::io::stderr),
        }
    }
}

/// The layer that writes log lines as `config` says.
pub(super) fn layer<S>(config: &Telemetry, output: Output) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let terminal = output.is_terminal();
    let format = config.log_format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let rust_log = super::variable("RUST_LOG").filter(|directives| !directives.is_empty());
    let filter = filter(rust_log.as_deref().or(config.log_filter.as_deref()).unwrap_or("info"));
    match format {
        LogFormat::Json => Json::new(output.writer()).with_filter(filter).boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_ansi(terminal)
            .with_writer(output.writer())
            .with_filter(filter)
            .boxed(),
    }
}

fn filter<S>(directives: &str) -> impl Filter<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // directives that cannot be parsed are reported on standard error and left out
    EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse_lossy(directives)
        .and(capped())
        .or(own_spans())
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let rest = metadata.target().strip_prefix(super::SERVICE);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Libraries that have nothing to say to operators below a warning.
const QUIET: [&str; 8] =
    ["hyper", "hyper_util", "h2", "reqwest", "rustls", "tokio_postgres", "tower", "opentelemetry"];

/// Libraries print credentials, signed headers and bodies at DEBUG and TRACE; no filter may bring those out.
fn capped() -> FilterFn<impl Fn(&Metadata<'_>) -> bool + Clone> {
    filter_fn(|metadata| {
        let library = metadata.target().split("::").next().unwrap_or_default();
        match library {
            _ if is_ours(metadata) => true,
            _ if QUIET.contains(&library) => *metadata.level() <= Level::WARN,
            _ => *metadata.level() <= Level::INFO,
        }
    })
}

/// Our spans from INFO up: the context of log lines.
fn own_spans() -> FilterFn<impl Fn(&Metadata<'_>) -> bool + Clone> {
    spans_to(Level::INFO)
}

/// What is sent as a trace: our spans, also those around single calls to the database and the stores. Those of libraries
/// stay out, or the sending of traces would be traced.
pub(super) fn traced_spans() -> FilterFn<impl Fn(&Metadata<'_>) -> bool + Clone> {
    spans_to(Level::DEBUG)
}

fn spans_to(level: Level) -> FilterFn<impl Fn(&Metadata<'_>) -> bool + Clone> {
    filter_fn(move |metadata: &Metadata<'_>| {
        metadata.is_span() && is_ours(metadata) && *metadata.level() <= level
    })
    .with_max_level_hint(level)
}

/// Fields by name, in the order they came.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field.name(), Chain(value).to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }
}

/// Writes events as JSON, one object a line.
struct Json<W> {
    writer: W,
    dispatch: OnceLock<WeakDispatch>,
}

impl<W> Json<W> {
    fn new(writer: W) -> Self {
        Self { writer, dispatch: OnceLock::new() }
    }

    /// `trace_id` and `span_id` of the innermost span that is part of a trace.
    fn trace_ids(&self, spans: &[Id]) -> Option<(String, String)> {
        let dispatch = self.dispatch.get()?.upgrade()?;
        spans.iter().find_map(|id| {
            let context = tracing_opentelemetry::get_otel_context(id, &dispatch)?;
            let span = context.span();
            let ids = span.span_context();
            ids.is_valid().then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
        })
    }
}

impl<S, W> Layer<S> for Json<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(id).filter(|span| is_ours(span.metadata())) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        let Some(span) = cx.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut spans = Vec::new();
        for span in cx.event_scope(event).into_iter().flatten() {
            spans.push(span.id());
            let extensions = span.extensions();
            let Some(context) = extensions.get::<Fields>() else { continue };
            for (name, value) in context.0.iter().filter(|(name, _)| !name.starts_with("otel.")) {
                if fields.0.iter().all(|(known, _)| known != name) {
                    fields.0.push((name, value.clone()));
                }
            }
        }
        // only now, when no span is borrowed any more: it locks them
        if let Some((trace, span)) = self.trace_ids(&spans) {
            fields.set("trace_id", trace.into());
            fields.set("span_id", span.into());
        }
        if let Ok(line) = line(event.metadata(), fields) {
            // a log that cannot be written has nowhere to be reported
            let _ = self.writer.make_writer_for(event.metadata()).write_all(&line);
        }
    }
}

const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

fn line(metadata: &Metadata<'_>, mut fields: Fields) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = Vec::with_capacity(256);
    let mut json = serde_json::Serializer::new(&mut line);
    let mut map = json.serialize_map(None)?;
    map.serialize_entry("timestamp", &OffsetDateTime::now_utc().format(TIMESTAMP).unwrap_or_default())?;
    map.serialize_entry("level", metadata.level().as_str())?;
    map.serialize_entry("target", metadata.target())?;
    if let Some(at) = fields.0.iter().position(|(name, _)| *name == "message") {
        map.serialize_entry("message", &fields.0.remove(at).1)?;
    }
    for (name, value) in &fields.0 {
        map.serialize_entry(name, value)?;
    }
    map.end()?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
