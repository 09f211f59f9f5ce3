"""What came of runs: statistics, tables, figures, pages."""
