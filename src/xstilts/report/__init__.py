"""The report: one HTML file, its Markdown twin and two tables, all pure functions of one `Results`."""
