//! Sizes of files (S1), functions (S2), structs (S3), the spread of functions (S4), and the list of
//! exceptions, which may only shrink (S5).

use std::collections::BTreeMap;
use std::fmt;

use super::Violation;
use super::house::House;
use super::rust_source::RustSource;

/// For the last line of the output.
#[derive(Debug)]
pub struct Summary {
    files: usize,
    functions: usize,
    p90: usize,
    largest_file: (String, usize),
    largest_function: (String, usize),
    exceptions: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, file_lines) = &self.largest_file;
        let (function, function_lines) = &self.largest_function;
        write!(
            f,
            "{} Rust files, largest {file} ({file_lines} lines). {} functions, nine of ten within {} lines, largest {function} ({function_lines}). {} listed exceptions.",
            self.files, self.functions, self.p90, self.exceptions
        )
    }
}

type BySize = BTreeMap<String, usize>;

/// Measures everything.
pub fn check(house: &House, sources: &[RustSource]) -> (Summary, Vec<Violation>) {
    let limits = &house.sizes;
    let files: BySize = sources
        .iter()
        .map(|source| (source.path.clone(), source.lines))
        .collect();
    let functions = by_name(sources, |source| &source.functions);
    let structs = by_name(sources, |source| &source.structs);

    let mut broken = Vec::new();
    let list = Listed::new("S1", "lines", "sizes.files", &limits.files);
    broken.extend(list.check(&files, limits.file));
    let list = Listed::new("S2", "lines", "sizes.functions", &limits.functions);
    broken.extend(list.check(&functions, limits.function));
    let list = Listed::new("S3", "fields", "sizes.structs", &limits.structs);
    broken.extend(list.check(&structs, [limits.fields, usize::MAX]));

    let p90 = p90(sources);
    if p90 > limits.function_p90 {
        let what = format!(
            "nine of ten are within {p90} lines, the limit is {}: make functions shorter",
            limits.function_p90
        );
        broken.push(Violation::new("S4", "all functions", what));
    }
    let summary = Summary {
        files: files.len(),
        functions: sources.iter().map(|s| s.functions.len()).sum(),
        p90,
        largest_file: largest(&files),
        largest_function: largest(&functions),
        exceptions: limits.files.len() + limits.functions.len() + limits.structs.len(),
    };
    (summary, broken)
}

/// The largest of each name: two impl blocks may have functions of one name.
fn by_name(
    sources: &[RustSource],
    of: impl Fn(&RustSource) -> &Vec<super::rust_source::Sized>,
) -> BySize {
    let mut all = BySize::new();
    for source in sources {
        for one in of(source) {
            let size = all
                .entry(format!("{}::{}", source.path, one.name))
                .or_default();
            *size = one.size.max(*size);
        }
    }
    all
}

fn p90(sources: &[RustSource]) -> usize {
    let functions = sources.iter().flat_map(|source| &source.functions);
    let mut sizes: Vec<usize> = functions.map(|function| function.size).collect();
    sizes.sort_unstable();
    let last_of_nine_tenths = (sizes.len() * 9).div_ceil(10).saturating_sub(1);
    sizes.get(last_of_nine_tenths).copied().unwrap_or_default()
}

fn largest(of: &BySize) -> (String, usize) {
    let largest = of.iter().max_by_key(|(_, size)| **size);
    largest.map_or_else(Default::default, |(name, size)| (name.clone(), *size))
}

/// A limit and its list of exceptions.
struct Listed<'a> {
    rule: &'static str,
    unit: &'static str,
    key: &'static str,
    exceptions: &'a BySize,
}

impl<'a> Listed<'a> {
    fn new(
        rule: &'static str,
        unit: &'static str,
        key: &'static str,
        exceptions: &'a BySize,
    ) -> Self {
        Self {
            rule,
            unit,
            key,
            exceptions,
        }
    }

    fn check(&self, sizes: &BySize, [soft, hard]: [usize; 2]) -> Vec<Violation> {
        let too_large = sizes
            .iter()
            .filter_map(|(name, size)| self.too_large(name, *size, soft, hard));
        let stale = self
            .exceptions
            .iter()
            .filter_map(|(name, listed)| self.stale(name, *listed, sizes, soft));
        too_large.chain(stale).collect()
    }

    fn too_large(&self, name: &str, size: usize, soft: usize, hard: usize) -> Option<Violation> {
        let unit = self.unit;
        let listed = self.exceptions.get(name);
        let what = match listed {
            _ if size <= soft => return None,
            _ if size > hard => format!("has {size} {unit}, never more than {hard}: split it"),
            Some(listed) if size > *listed => {
                format!("has grown from {listed} to {size} {unit}, the limit is {soft}: split it")
            }
            Some(_) => return None,
            None => format!("has {size} {unit}, the limit is {soft}: split it"),
        };
        Some(Violation::new(self.rule, name, what))
    }

    fn stale(&self, name: &str, listed: usize, sizes: &BySize, soft: usize) -> Option<Violation> {
        let key = self.key;
        let what = match sizes.get(name) {
            Some(size) if *size >= listed && *size > soft => return None,
            Some(size) if *size > soft => {
                format!(
                    "has shrunk from {listed} to {size}: write that into [{key}] of xtask/house.toml"
                )
            }
            _ => format!("is gone or small enough: remove it from [{key}] of xtask/house.toml"),
        };
        Some(Violation::new("S5", name, what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    const LIMITS: &str = "
        [sizes]
        file = [8, 12]
        function = [4, 6]
        function_p90 = 3
        fields = 2
    ";

    fn found(exceptions: &str, text: &str) -> Vec<&'static str> {
        let house = House::of(&format!("{LIMITS}{exceptions}"));
        rules(&check(&house, &[RustSource::parse("a.rs", text).unwrap()]).1)
    }

    /// A function of so many lines, among enough short ones.
    fn function(lines: usize) -> String {
        let short: String = (0..12).map(|n| format!("fn f{n}() {{}} ")).collect();
        format!("{short}fn long() {{\n{}}}", "b();\n".repeat(lines - 2))
    }

    #[test]
    fn s1_a_long_file_is_found() {
        assert!(found("", &"\n".repeat(8)).is_empty());
        assert_eq!(found("", &"\n".repeat(9)), ["S1"]);
        let listed = "[sizes.files]\n'a.rs' = 13";
        assert_eq!(
            found(listed, &"\n".repeat(13)),
            ["S1"],
            "never over the hard limit"
        );
    }

    #[test]
    fn s2_a_long_function_is_found_new_or_grown() {
        assert!(found("", &function(4)).is_empty());
        assert_eq!(found("", &function(5)), ["S2"]);
        let listed = "[sizes.functions]\n'a.rs::long' = 5";
        assert!(found(listed, &function(5)).is_empty());
        assert_eq!(found(listed, &function(6)), ["S2"]);
    }

    #[test]
    fn s3_a_wide_struct_is_found() {
        assert!(found("", "struct S { a: u8, b: u8 }").is_empty());
        assert_eq!(found("", "struct S { a: u8, b: u8, c: u8 }"), ["S3"]);
    }

    #[test]
    fn s4_many_long_functions_are_found() {
        assert_eq!(found("", "fn a() {\n\n\n}"), ["S4"]);
        assert!(found("", "fn a() {\n\n}").is_empty());
    }

    #[test]
    fn s5_an_exception_that_is_no_longer_one_is_found() {
        let gone = "[sizes.files]\n'b.rs' = 9";
        assert_eq!(found(gone, ""), ["S5"]);
        let small = "[sizes.functions]\n'a.rs::long' = 5";
        assert_eq!(found(small, &function(4)), ["S5"]);
        let shrunk = "[sizes.functions]\n'a.rs::long' = 6";
        assert_eq!(found(shrunk, &function(5)), ["S5"]);
    }
}
