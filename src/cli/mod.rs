//! The command line: one file per command, arguments in, rendering out, no rules.
