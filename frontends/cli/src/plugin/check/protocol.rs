//! What the child that runs the checks tells the parent that outlives it: one JSON object a line.

use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line {
    /// The plug-in is loaded, and these are the checks, numbered from 0.
    Plan { plugin: String, checks: Vec<Title> },
    /// The plug-in is refused.
    Refused { message: String },
    /// A check starts.
    Begin { check: usize },
    /// What is about to be called, on which memory.
    Doing { what: String, blocks: Vec<Block> },
    /// A check has ended.
    End { check: usize, verdict: Verdict },
}

/// What is checked, and in what respect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Title {
    /// `operator Swish`.
    pub(crate) subject: String,
    /// `gradient`.
    pub(crate) check: String,
}

/// Memory that was handed to the plug-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Block {
    pub(crate) name: String,
    pub(crate) start: usize,
    pub(crate) len_bytes: usize,
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "message", rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Nothing is wrong; what was looked at.
    Ok(String),
    /// What was called with what, what was found and what was wanted.
    Failed(String),
    /// There was nothing to check, or something that this check needs has failed.
    Skipped(String),
}

/// How a line begins that a process writes as it dies of a memory fault: then come `write`, `read` or `touch`, and the address in 16
/// hexadecimal digits. It is no JSON, as a signal handler writes it.
pub(crate) const LAST_WORDS: &str = "varflow-fault";

/// A memory fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) is_write: Option<bool>,
    pub(crate) address: usize,
}

impl Fault {
    /// Reads last words.
    pub(crate) fn parse(line: &str) -> Option<Fault> {
        let mut words = line.strip_prefix(LAST_WORDS)?.split_whitespace();
        let is_write = match words.next()? {
            "write" => Some(true),
            "read" => Some(false),
            _ => None,
        };
        Some(Fault { is_write, address: usize::from_str_radix(words.next()?, 16).ok()? })
    }

    /// Says which of these blocks was left or touched, if one is near.
    pub(crate) fn explain(self, blocks: &[Block]) -> Option<String> {
        /// Nothing further from a block is thought to be meant for it.
        const NEAR_BYTES: usize = 1 << 20;
        let verb = match self.is_write {
            Some(true) => "wrote",
            Some(false) => "read",
            None => "wrote or read",
        };
        let distance = |b: &Block| {
            let end = b.start + b.len_bytes;
            if self.address < b.start { b.start - self.address } else { (self.address + 1).saturating_sub(end) }
        };
        let block = blocks.iter().min_by_key(|b| distance(b)).filter(|b| distance(b) <= NEAR_BYTES)?;
        let (name, n) = (&block.name, block.len_bytes);
        Some(if self.address < block.start {
            format!("{verb} {} bytes before the start of {name}, which has {n} bytes", block.start - self.address)
        } else if self.address >= block.start + n {
            let past = self.address - block.start - n;
            format!("{verb} beyond the end of {name}: {past} bytes behind its {n} bytes")
        } else {
            format!("{verb} byte {} of {name}, which it may only read", self.address - block.start)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_by_the_nearest_block() {
        let block = |name: &str, start, len_bytes| Block { name: name.into(), start, len_bytes };
        let blocks = [block("input 0", 0x1000, 64), block("output 0", 0x4000, 60)];
        let said = |line: &str| Fault::parse(line).and_then(|f| f.explain(&blocks));
        assert_eq!(
            said("varflow-fault write 0000000000004040").as_deref(),
            Some("wrote beyond the end of output 0: 4 bytes behind its 60 bytes")
        );
        assert_eq!(
            said("varflow-fault read 0000000000000ffc").as_deref(),
            Some("read 4 bytes before the start of input 0, which has 64 bytes")
        );
        assert_eq!(
            said("varflow-fault write 0000000000001004").as_deref(),
            Some("wrote byte 4 of input 0, which it may only read")
        );
        assert_eq!(said("varflow-fault read 00000fff00000000"), None);
        assert_eq!(Fault::parse("varflow-fault write"), None);
    }
}
