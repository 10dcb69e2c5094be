"""The report of a build: collected once as JSON, shown as a table."""
