//! A table for a terminal, its columns as wide as they need to be.

/// Rows below a head.
pub struct Table {
    texts: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with nothing but its head. Columns are numbers, but for those that are `texts`.
    pub fn new(texts: &[usize], head: &[&str]) -> Self {
        Self { texts: texts.to_vec(), rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it below its name.
    pub fn print(&self, name: &str) {
        println!("\n{name}\n");
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cell = |(column, cell): (usize, &String)| {
                let width = widths[column];
                if self.texts.contains(&column) {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            };
            println!("{}", row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end());
        }
        println!();
    }
}
