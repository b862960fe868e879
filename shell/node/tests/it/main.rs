//! Whole nodes on loopback: the same scenarios that the labs run in network namespaces.

mod backup;
mod calls;
mod cast;
mod chat;
mod contacts;
mod devices;
mod files;
mod forwarding;
mod home;
mod hostile;
mod kinds;
mod names;
mod network;
mod overlay;
mod presence;
mod processing;
mod profiles;
mod promotion;
mod records;
mod recovery;
mod roles;
mod several_calls;
mod shim;
mod status;
mod story;
mod warnings;
