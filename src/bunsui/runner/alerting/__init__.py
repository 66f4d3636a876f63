"""Alerts of sessions: who watches them, what is due, and that somebody is told."""
