//! Imports point downward only, and no files import each other in a cycle.
