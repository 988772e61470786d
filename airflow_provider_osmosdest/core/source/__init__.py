"""Pull records from an HTTP API: fetch its pages, select their records, and write them to a file."""
