//! One watch and one writer hold, whatever the network, the servers and other devices do.

mod answers;
mod breaking_hints;
mod clones;
mod failed_client;
mod forgotten_connections;
mod lagging_follower;
mod leader_lost;
mod older_store;
mod partitions;
mod racing_writers;
mod satellite;
mod slow_consumer;
mod stories;
