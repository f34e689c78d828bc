"""What the Google APIs share: method tables over REST and gRPC, errors, filters, paging, messages, SQLite."""
