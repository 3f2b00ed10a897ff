//! The binary; its subcommands come with the service.

fn main() {}
