//! The size of the key in a certificate, for messages.

use rustls::pki_types::CertificateDer;

/// The smallest RSA key that the TLS library accepts, in bits.
const LEAST: usize = 2048;

/// The size in bits of an RSA key that is too small; none for other keys.
pub(super) fn too_small(certificate: &CertificateDer<'_>) -> Option<usize> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    rsa_bits(&certificate.subject_public_key_info()).filter(|&bits| bits < LEAST)
}

/// The length of the modulus in a `SubjectPublicKeyInfo` (RFC 5280, section 4.1; RFC 8017, appendix
/// A.1.1).
fn rsa_bits(info: &[u8]) -> Option<usize> {
    const SEQUENCE: u8 = 0x30;
    /// `rsaEncryption`
    const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    let (info, _) = element(info, SEQUENCE)?;
    let (algorithm, rest) = element(info, SEQUENCE)?;
    let (name, _) = element(algorithm, 6)?;
    if name != RSA {
        return None;
    }
    let (bits, _) = element(rest, 3)?;
    let (key, _) = element(bits.strip_prefix(&[0])?, SEQUENCE)?;
    let (modulus, _) = element(key, 2)?;
    let zeros = modulus.iter().take_while(|&&byte| byte == 0).count();
    let first = modulus.get(zeros)?;
    Some(8 * (modulus.len() - zeros) - first.leading_zeros() as usize)
}

/// The content of a DER element with that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            if 4 < bytes.len() {
                return None;
            }
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The DER of a key with a modulus of that many bytes, whose first byte is `first`.
    fn info(bytes: usize, first: u8, algorithm: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x82, length[0], length[1]], content].concat()
        };
        let mut modulus = vec![0xff; bytes];
        modulus[0] = first;
        modulus.insert(0, 0);
        let key = wrap(0x30, &[wrap(2, &modulus), wrap(2, &[1, 0, 1])].concat());
        let key = wrap(3, &[&[0], &key[..]].concat());
        wrap(0x30, &[wrap(0x30, &wrap(6, algorithm)), key].concat())
    }

    #[test]
    fn the_size_of_a_key_is_read() {
        const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
        for (bytes, first, bits) in [(128, 0x80, 1024), (256, 0xff, 2048), (128, 0x40, 1023)] {
            assert_eq!(rsa_bits(&info(bytes, first, RSA)), Some(bits));
        }
        assert_eq!(rsa_bits(&info(128, 0x80, b"\x2a")), None);
        let whole = info(128, 0x80, RSA);
        for cut in 0..whole.len() - 10 {
            assert_eq!(rsa_bits(&whole[..cut]), None, "{cut}");
        }
    }
}
