//! What is known of device families, as data: the profile language and the built-in profiles.
