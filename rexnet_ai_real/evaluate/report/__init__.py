"""The report: what is measured, put into sections, written as HTML, Markdown and JSON."""
