//! The one table that is printed, each figure next to its limit.

/// What a figure should be.
pub enum Goal {
    None,
    AtMost(f64),
    /// Of the limit next to it.
    ShareOfLimit(f64),
}

/// One figure.
pub struct Row {
    pub figure: String,
    pub value: f64,
    pub unit: &'static str,
    /// What was measured in the same run as the most there could be.
    pub limit: Option<(&'static str, f64)>,
    pub goal: Goal,
}

#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Table {
    pub fn add(&mut self, row: Row) {
        eprintln!("bench: {} {} {}", row.figure, number(row.value), row.unit);
        self.rows.push(row);
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Prints everything; true when every goal is met.
    pub fn print(&self) -> bool {
        let mut cells =
            vec![["figure", "measured", "limit", "share", "goal", "", "limit is"].map(str::to_owned)];
        let mut met = true;
        for row in &self.rows {
            let share = row.limit.map(|(_, limit)| row.value / limit);
            let (goal, reached) = match row.goal {
                Goal::None => (String::new(), None),
                Goal::AtMost(most) => (format!("<= {} {}", number(most), row.unit), Some(row.value <= most)),
                Goal::ShareOfLimit(least) => {
                    (format!(">= {least:.1}x"), Some(share.is_some_and(|share| share >= least)))
                }
            };
            met &= reached != Some(false);
            cells.push([
                row.figure.clone(),
                format!("{} {}", number(row.value), row.unit),
                row.limit.map_or_else(String::new, |(_, limit)| format!("{} {}", number(limit), row.unit)),
                share.map_or_else(String::new, |share| format!("{share:.2}x")),
                goal,
                match reached {
                    None => String::new(),
                    Some(true) => "met".to_owned(),
                    Some(false) => "MISSED".to_owned(),
                },
                row.limit.map_or_else(String::new, |(name, _)| name.to_owned()),
            ]);
        }
        let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..7).map(width).collect();
        for row in &cells {
            let line: Vec<String> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(n, (cell, width))| match n {
                    1..=3 => format!("{cell:>width$}"),
                    _ => format!("{cell:<width$}"),
                })
                .collect();
            println!("{}", line.join("  ").trim_end());
        }
        println!();
        for note in &self.notes {
            println!("{note}");
        }
        met
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub fn mebibytes(size: u64) -> String {
    let size = size >> 20;
    if size.is_multiple_of(1024) { format!("{} GiB", size >> 10) } else { format!("{size} MiB") }
}

fn number(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
