//! Columns of text, as kubectl prints them: no lines, three spaces between, nothing after the
//! last column. What is in the cells comes from anybody, and is made [`visible`].

use std::borrow::Cow;

use crate::visible;

const GAP: usize = 3;

/// A table whose column widths only ever grow, so that rows added while watching line up.
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { widths: Vec::new() }
    }

    /// The rows as lines.
    pub(crate) fn lines(&mut self, rows: &[Vec<String>]) -> Vec<String> {
        let rows: Vec<Vec<_>> =
            rows.iter().map(|row| row.iter().map(|cell| visible::cell(cell)).collect()).collect();
        for row in &rows {
            self.widths.resize(self.widths.len().max(row.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[Cow<'_, str>]) -> String {
        let mut line = String::new();
        for (width, cell) in self.widths.iter().zip(row) {
            line.push_str(cell);
            let padding = width + GAP - cell.chars().count();
            line.extend(std::iter::repeat_n(' ', padding));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// A row of texts.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_also_with_rows_that_come_later() {
        let mut table = Table::new();
        assert_eq!(
            table.lines(&[
                row(["NAME", "PHASE", ""]),
                row(["edge-0042", "Converged", "x"]),
                row(["ü", "-", "y"])
            ]),
            ["NAME        PHASE", "edge-0042   Converged   x", "ü           -           y"]
        );
        assert_eq!(table.lines(&[row(["a", "b", "c"])]), ["a           b           c"]);
    }
}
