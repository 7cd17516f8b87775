//! Tables of results: markdown for people, JSON for tools.

/// A table; the first cell of a row is its name.
#[derive(Debug)]
pub struct Table {
    /// What stands above it.
    pub title: String,
    /// The heads of the columns.
    pub columns: Vec<String>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(title: &str, columns: &[&str]) -> Table {
        Table { title: title.into(), columns: columns.iter().map(|c| c.to_string()).collect(), rows: Vec::new() }
    }

    /// Adds a row and shows it at once: a whole run takes minutes.
    pub fn push(&mut self, row: Vec<String>) {
        eprintln!("  {}", row.join(" | "));
        self.rows.push(row);
    }

    /// As markdown, with its title.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<String> =
            self.columns.iter().enumerate().map(|(i, _)| if i == 0 { "---" } else { "---:" }.into()).collect();
        let rows: String = self.rows.iter().map(|r| line(r)).collect();
        format!("**{}**\n\n{}{}{rows}", self.title, line(&self.columns), line(&rule))
    }
}

/// A figure against its target: the ratio, and whether it is met to the two places shown.
pub fn verdict(ratio: f64, target: f64) -> Vec<String> {
    let ratio = (ratio * 100.0).round() / 100.0;
    let mark = if ratio <= target { "met" } else { "missed" };
    vec![format!("{ratio:.2}x"), format!("<= {target:.2}x"), mark.into()]
}

/// The same for a ratio that should be large.
pub fn verdict_at_least(ratio: f64, target: f64) -> Vec<String> {
    let ratio = (ratio * 100.0).round() / 100.0;
    let mark = if ratio >= target { "met" } else { "missed" };
    vec![format!("{ratio:.2}x"), format!(">= {target:.2}x"), mark.into()]
}

/// All tables as one JSON object: title to a list of rows, each an object of its cells.
pub fn json(tables: &[Table]) -> String {
    let table = |t: &Table| {
        let rows: Vec<String> = t.rows.iter().map(|row| object(t.columns.iter().zip(row))).collect();
        format!("{}: [\n  {}\n]", string(&t.title), rows.join(",\n  "))
    };
    format!("{{\n{}\n}}\n", tables.iter().map(table).collect::<Vec<_>>().join(",\n"))
}

fn object<'a>(cells: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let cell = |(name, value): (&String, &String)| {
        let plain = value.parse::<f64>().is_ok_and(f64::is_finite);
        format!("{}: {}", string(name), if plain { value.clone() } else { string(value) })
    };
    format!("{{{}}}", cells.map(cell).collect::<Vec<_>>().join(", "))
}

fn string(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            c => vec![c],
        })
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_numbers_where_they_can() {
        let mut table = Table::new("t \"x\"", &["row", "us"]);
        table.rows.push(vec!["GET".into(), "1.05".into()]);
        assert!(json(&[table]).contains("\"t \\\"x\\\"\": [\n  {\"row\": \"GET\", \"us\": 1.05}\n]"));
    }
}
