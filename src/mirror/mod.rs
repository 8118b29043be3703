//! Remotes: the store pushed to, compared with and rebuilt from another git repository.
