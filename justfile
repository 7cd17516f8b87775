# Everything a contributor runs. Thin over `cargo xtask`, which CI uses as well.

# List the recipes.
default:
    @just --list

# Build and start the server on 127.0.0.1:6379; options go to it, as in `just run --port 7000`.
run *options:
    cargo run --release -- {{options}}

# Formatting, lints, architecture rules and unit tests.
check:
    cargo xtask check

# All checks, then every system suite, or only the suites named.
test *suites:
    cargo xtask test {{suites}}

# Compare with the reference: `just diff --group set --seed 7`.
diff *options:
    cargo xtask diff {{options}}

# Architecture rules only.
tidy:
    cargo xtask tidy

# The side-by-side tables of figures.
bench *options:
    cargo xtask bench {{options}}

# Write COMPAT.md from the command table.
compat *options:
    cargo xtask compat {{options}}

# Hostile input, in full: 10000 connections for a minute.
garbage *options:
    cargo xtask garbage {{options}}

# One fuzz target, three minutes: `just fuzz resp --seconds 600`.
fuzz target *options:
    cargo xtask fuzz {{target}} {{options}}

# The crates with unsafe code under AddressSanitizer and Miri.
sanitize *tools:
    cargo xtask sanitize {{tools}}

# Every interleaving of the locks, the waker and the mailbox.
loom:
    cargo xtask loom

# Fetch the reference server and print its path.
oracle:
    cargo xtask oracle

# Format the sources.
fmt:
    cargo fmt --all
