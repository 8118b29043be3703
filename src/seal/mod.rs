//! Keys, age, masking: what makes a store useful to read and useless to steal.
