"""What was delivered before: the keys of records and the contents of files, kept so that they are sent only once."""
