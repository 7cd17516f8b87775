//! What the reference answered to these lines.
