//! Tests of the machine by itself, with arithmetic in place of key agreement.

mod bench;
mod hostile;
mod limits;
mod stand_in;
mod table;
mod timing;
