//! Rewrites a template's source where minijinja and jinja2 differ, without moving a line.
