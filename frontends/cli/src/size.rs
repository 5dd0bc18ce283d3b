//! Sizes of memory on the command line.

const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Bytes of a text such as `512MiB`, `1.5GB` or `1000 B`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    const WANTED: &str = "wanted a number and its unit such as 512MiB: B, kB, MB, GB, KiB, MiB or GiB";
    let split = UNITS.iter().find_map(|(unit, factor)| Some((text.trim().strip_suffix(unit)?.trim_end(), *factor)));
    let (number, factor) = split.ok_or(WANTED)?;
    let is_number = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let too_large = || "is more than any memory could hold, wanted less than 2^63 bytes".to_string();
    let bytes = match (number.parse::<u64>(), number.parse::<f64>()) {
        (Ok(whole), _) => whole.checked_mul(factor).ok_or_else(too_large)?,
        // Digits too many for an integer are too large here too.
        (_, Ok(broken)) if is_number => (broken * factor as f64) as u64,
        _ => return Err(WANTED.to_string()),
    };
    usize::try_from(bytes).ok().filter(|bytes| isize::try_from(*bytes).is_ok()).ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        let sizes = ["7B", "2 kB", "3MB", "4GB", "1KiB", "1.5MiB", " 2GiB ", "0B", ".5KiB"];
        let found: Vec<usize> = sizes.iter().map(|text| bytes(text).unwrap()).collect();
        assert_eq!(found, [7, 2000, 3_000_000, 4_000_000_000, 1024, 3 << 19, 2 << 30, 0, 512]);
        for text in ["", "B", "12", "x MiB", "-1MiB", "1e3MiB", "infB", "NaNB", "1..2B", "2TiB", "1 M", ".B", "1,5GB"] {
            assert!(bytes(text).unwrap_err().starts_with("wanted a number and its unit"), "{text}");
        }
        for text in ["9223372036854775808B", "99999999999999999999999999B", "8589934592GiB", "1e9".repeat(9).as_str()] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
