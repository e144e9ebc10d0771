"""Audits: verify over many record folders, or over the pull requests of a local clone; resumable, in parallel, one table and page."""
