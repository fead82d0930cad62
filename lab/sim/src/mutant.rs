//! Ten and more mistakes that an engineer could make, each of which must be caught.
