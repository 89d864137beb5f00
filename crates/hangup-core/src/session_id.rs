//! Names of sessions that nobody can guess.

use crate::fd::sys;

/// Octets of chance in an id.
const CHANCE: usize = 12;
/// RFC 4648 section 5.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// python-engineio's session id: 12 random octets and the low three of `number`, in URL-safe base64. The
/// error is getrandom(2)'s errno.
pub fn session_id(number: u64) -> Result<String, i32> {
    let mut octets = [0; CHANCE + 3];
    sys::random(&mut octets[..CHANCE])?;
    octets[CHANCE..].copy_from_slice(&number.to_be_bytes()[5..]);
    let digits = octets.chunks_exact(3).flat_map(|three| {
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(bits >> shift & 63) as usize]))
    });
    Ok(digits.collect())
}

#[cfg(test)]
mod tests {
    use super::session_id;

    #[test]
    fn ends_with_the_number() {
        assert!(session_id(0x00FF_FFFE).is_ok_and(|id| id.len() == 20 && id.ends_with("___-")));
        assert!(session_id(0x0100_0001).is_ok_and(|id| id.ends_with("AAAB")));
    }

    #[test]
    fn is_another_one_each_time() {
        assert_ne!(session_id(1), session_id(1));
    }
}
