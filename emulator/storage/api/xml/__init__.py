"""The XML API: objects, their multipart uploads, and the listings of buckets."""
