"""Requests through Consentry beside the archive asked directly, a plain proxy, and what most would build."""
