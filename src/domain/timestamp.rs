//! ISO 8601 instants as clients write them: basic and extended forms, any precision, any offset.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

static ISO: LazyLock<Regex> = LazyLock::new(|| {
    let date = r"(?<year>\d{4})(?:-?(?<month>\d{2})(?:-?(?<day>\d{2}))?)?";
    let clock = r"(?<hour>\d{2})(?::?(?<minute>\d{2})(?::?(?<second>\d{2})(?:[.,](?<fraction>\d{1,9}))?)?)?";
    let zone = r"(?<zone>Z|[+-]\d{2}(?::?\d{2})?)?";
    Regex::new(&format!("^{date}(?:[T ]{clock}{zone})?$")).expect("the pattern is constant and well-formed")
});

/// Parses an instant; without an offset it is UTC. None: not ISO 8601, no such date, or before the year 1900
/// (images-v1.md §3.2 rule 7).
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    let parts = ISO.captures(text.trim())?;
    let year = number(&parts, "year", 0)?;
    if year < 1900 {
        return None;
    }
    let month = Month::try_from(u8::try_from(number(&parts, "month", 1)?).ok()?).ok()?;
    let date = Date::from_calendar_date(year, month, small(&parts, "day", 1)?).ok()?;
    let time = Time::from_hms_nano(
        small(&parts, "hour", 0)?,
        small(&parts, "minute", 0)?,
        small(&parts, "second", 0)?,
        nanoseconds(&parts)?,
    )
    .ok()?;
    date.with_time(time)
        .assume_utc()
        .checked_sub(time::Duration::seconds(offset(&parts)?.whole_seconds().into()))
}

/// Renders an instant as the Images API v1 does: `2016-05-10T21:14:04.000000`, UTC without a zone.
pub fn render_v1(instant: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");
    instant.to_offset(UtcOffset::UTC).format(form).unwrap_or_default()
}

/// Renders an instant as the Images API v2 does: `2016-05-10T21:14:04Z`.
pub fn render(instant: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    instant.to_offset(UtcOffset::UTC).format(form).unwrap_or_default()
}

fn number(parts: &Captures<'_>, name: &str, absent: i32) -> Option<i32> {
    parts.name(name).map_or(Some(absent), |m| m.as_str().parse().ok())
}

fn small(parts: &Captures<'_>, name: &str, absent: u8) -> Option<u8> {
    parts.name(name).map_or(Some(absent), |m| m.as_str().parse().ok())
}

fn nanoseconds(parts: &Captures<'_>) -> Option<u32> {
    let Some(fraction) = parts.name("fraction") else { return Some(0) };
    format!("{:0<9}", fraction.as_str()).parse().ok()
}

fn offset(parts: &Captures<'_>) -> Option<UtcOffset> {
    let zone = parts.name("zone").map_or("Z", |m| m.as_str());
    if zone == "Z" {
        return Some(UtcOffset::UTC);
    }
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let hours: i8 = digits.get(..2)?.parse().ok()?;
    let minutes: i8 = digits.get(2..).filter(|m| !m.is_empty()).map_or(Some(0), |m| m.parse().ok())?;
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::{parse, render_v1};

    #[test]
    fn accepts_every_form_that_clients_send() {
        // V1-087, V1-088
        let noon = parse("2013-05-01T10:00:00Z").map(render_v1);
        assert_eq!(noon.as_deref(), Some("2013-05-01T10:00:00.000000"));
        assert_eq!(parse("2013-05-01T11:00:00+01:00"), parse("2013-05-01T10:00:00"));
        assert_eq!(parse("2013-05-01T09:00:00-0100"), parse("20130501T100000Z"));
        assert_eq!(
            parse("2013-05-01 10:00:00.5").map(render_v1).as_deref(),
            Some("2013-05-01T10:00:00.500000")
        );
        for date in ["2013-05-01", "20130501", "2013-0501"] {
            assert_eq!(parse(date), parse("2013-05-01T00:00:00Z"), "{date}");
        }
        assert!(parse("2012").is_some());
    }

    #[test]
    fn refuses_what_is_no_instant() {
        // V1-044
        for text in
            ["-42", "foo", "1100", "2012-01-01hey12:32:12", "", "2013-13-01", "2013-02-30", "1899-12-31"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
