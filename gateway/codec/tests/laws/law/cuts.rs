//! Ways to cut bytes in pieces, as a network might.

/// Longest input that is also cut between any two bytes.
const BYTEWISE_MAX: usize = 2_048;

/// Some ways to cut `input`: in one piece, at two places that follow from its
/// bytes, in small pieces of one length, and byte by byte where it is short.
pub(crate) fn of(input: &[u8]) -> Vec<Vec<&[u8]>> {
    let sum = input.iter().fold(input.len(), |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    let places = input.len() + 1;
    let (one, other) = (sum % places, (sum / places) % places);
    let (first, second) = (one.min(other), one.max(other));
    let mut ways = vec![
        vec![input],
        vec![&input[..first], &input[first..second], &input[second..]],
        input.chunks(1 + sum % 97).collect(),
    ];
    if input.len() <= BYTEWISE_MAX {
        ways.push(input.chunks(1).collect());
    }
    ways
}
