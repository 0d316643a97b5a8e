//! natsync keeps a directory equal to a set of remote files that a YAML manifest declares.
