//! All writes to disk: temporary name, sync, rename, sync of the directory.
//!
//! Every write of confvault goes through this room, which is also where a test stops the world.
