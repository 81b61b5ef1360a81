"""A report as page, model card, terminal text and files."""
