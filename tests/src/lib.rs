//! Whole-system tests: what they share (processes, a plain RESP client).
