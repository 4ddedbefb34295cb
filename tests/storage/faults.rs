//! What goes wrong between program and server.
