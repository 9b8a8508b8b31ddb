//! The tool on this machine's kernel, with real servers and clients, counted against their own logs.
