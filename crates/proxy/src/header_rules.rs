//! Headers that the operator sets on requests and answers.
