//! Over the bytes of JSON: where a string, an escape, a number or white space ends.

use memchr::memchr2;
use wide::{CmpEq, i8x16};

use super::tape::Fault;

/// The first quote, backslash or control character from `at` on, else the end: sixteen bytes at a time.
pub fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let chunk = i8x16::new(chunk.map(u8::cast_signed));
        let is = |byte: u8| chunk.cmp_eq(i8x16::splat(byte.cast_signed()));
        let control = (chunk & i8x16::splat(-0x20)).cmp_eq(i8x16::ZERO); // below 0x20: the upper three bits are 0
        let found = (control | is(b'"') | is(b'\\')).move_mask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
    }
    let rest = bytes.get(at..).unwrap_or(&[]);
    at + rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(rest.len())
}

/// The position after the escape at `at`, which must be well-formed; surrogates are paired when decoded.
pub fn escape(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    match bytes.get(at + 1) {
        None => Err(Fault::End),
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let digits = bytes.get(at + 2..bytes.len().min(at + 6)).unwrap_or(&[]);
            match digits.iter().position(|byte| !byte.is_ascii_hexdigit()) {
                Some(bad) => {
                    Err(Fault::Unexpected { expected: "four hexadecimal digits after `\\u`", at: at + 2 + bad })
                }
                None if digits.len() < 4 => Err(Fault::End),
                None => Ok(at + 6),
            }
        }
        Some(_) => Err(Fault::Unexpected { expected: "an escape that JSON has", at: at + 1 }),
    }
}

/// The end of the number at `at`; `-Infinity` is one, as Python writes it.
pub fn number(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let digits = |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let needed = |from: usize| match digits(from.min(bytes.len())) {
        end if end > from => Ok(end),
        _ if from >= bytes.len() => Err(Fault::End),
        _ => Err(Fault::Unexpected { expected: "a digit", at: from }),
    };
    let whole = at + usize::from(bytes[at] == b'-');
    let rest = &bytes[whole..];
    if whole > at && !rest.is_empty() && (rest.starts_with(b"Infinity") || b"Infinity".starts_with(rest)) {
        return if rest.len() < 8 { Err(Fault::End) } else { Ok(whole + 8) };
    }
    let mut end = if bytes.get(whole) == Some(&b'0') { whole + 1 } else { needed(whole)? };
    if bytes.get(end) == Some(&b'.') {
        end = needed(end + 1)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = needed(end + 1 + sign)?;
    }
    Ok(end)
}

/// The first position from `at` on that is not JSON's white space.
pub fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The position after the string whose opening quote is at `quote`; none where it does not close.
pub fn string_end(bytes: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    loop {
        let found = at + memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}
