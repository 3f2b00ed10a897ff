//! The rows of one image of Glance as text, and their values, whatever type a dump gave the columns.

use time::OffsetDateTime;

use crate::domain::timestamp;

/// A row of a table of Glance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    columns: &'static [&'static str],
    values: Vec<Option<String>>,
}

/// An image of Glance: its row, and the rows that belong to it in the order they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Of `images`.
    pub image: Row,
    /// Of `image_properties`.
    pub properties: Vec<Row>,
    /// Of `image_members`.
    pub members: Vec<Row>,
    /// Of `image_tags`.
    pub tags: Vec<Row>,
    /// Of `image_locations`.
    pub locations: Vec<Row>,
    /// Whether there were more rows of a table, or more bytes in them, than an image can have.
    pub overfull: bool,
}

impl Row {
    /// A row with the values of `columns`, in their order.
    pub fn new(columns: &'static [&'static str], values: Vec<Option<String>>) -> Self {
        Self { columns, values }
    }

    /// Bytes of its values.
    pub fn weight(&self) -> usize {
        self.values.iter().flatten().map(String::len).sum()
    }

    /// Text, where there is any.
    pub fn text(&self, column: &str) -> Option<&str> {
        let position = self.columns.iter().position(|known| *known == column)?;
        self.values.get(position)?.as_deref()
    }

    /// Text of its own.
    pub fn owned(&self, column: &str) -> Option<String> {
        self.text(column).map(str::to_owned)
    }

    /// A truth value as PostgreSQL writes it, or as the numbers of MySQL; false where there is none.
    ///
    /// # Errors
    /// A sentence that names the column.
    pub fn flag(&self, column: &str) -> Result<bool, String> {
        match self.text(column).map(str::trim) {
            None | Some("" | "0" | "f" | "false" | "n" | "no") => Ok(false),
            Some("1" | "t" | "true" | "y" | "yes") => Ok(true),
            Some(_) => Err(format!("`{column}` is no truth value")),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// A sentence that names the column.
    pub fn number(&self, column: &str) -> Result<Option<i64>, String> {
        let Some(text) = self.text(column).map(str::trim) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("`{column}` is no number that can be stored"))
    }

    /// An instant; without an offset it is UTC.
    ///
    /// # Errors
    /// A sentence that names the column.
    pub fn instant(&self, column: &str) -> Result<Option<OffsetDateTime>, String> {
        let Some(text) = self.text(column) else { return Ok(None) };
        let instant =
            timestamp::parse(text).ok_or_else(|| format!("`{column}` is no time that can be stored"))?;
        // what PostgreSQL keeps of it, so that what was stored compares as equal
        let nanosecond = instant.nanosecond() / 1000 * 1000;
        instant.replace_nanosecond(nanosecond).map(Some).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn row(value: Option<&str>) -> Row {
        Row::new(&["c"], vec![value.map(str::to_owned)])
    }

    #[test]
    fn values_of_any_type_are_read_leniently() {
        for (text, flag) in [("1", true), ("t", true), ("true", true), ("0", false), ("false", false)] {
            assert_eq!(row(Some(text)).flag("c"), Ok(flag), "{text}");
        }
        assert_eq!(row(None).flag("c"), Ok(false));
        assert!(row(Some("maybe")).flag("c").is_err());
        assert_eq!(row(Some(" 9223372036854775807 ")).number("c"), Ok(Some(i64::MAX)));
        assert!(row(Some("9223372036854775808")).number("c").is_err());
        assert!(row(Some("1.5")).number("c").is_err());
        assert_eq!(row(None).number("absent"), Ok(None));
    }

    #[test]
    fn instants_are_utc_to_the_microsecond() {
        let at = |text| row(Some(text)).instant("c").unwrap().unwrap();
        let plain = at("2024-01-02 03:04:05");
        assert_eq!(at("2024-01-02 05:04:05+02"), plain);
        assert_eq!(at("2024-01-02T03:04:05Z"), plain);
        assert_eq!(at("2024-01-02 03:04:05.123456789").nanosecond(), 123_456_000);
        assert!(row(Some("0000-00-00 00:00:00")).instant("c").is_err());
        assert!(row(Some("infinity")).instant("c").is_err());
    }
}
