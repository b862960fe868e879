//! What the rules need to know of one Rust file: its functions and structs with sizes, its module doc,
//! the paths it names. Lines count from 1; a function is as long as from `fn` to its closing brace.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Item, Meta, Signature, UseTree};

/// One file.
#[derive(Debug)]
pub struct RustSource {
    /// From the root.
    pub path: String,
    /// All lines.
    pub lines: usize,
    /// Begins with `//!`.
    pub has_module_doc: bool,
    /// Only built for tests.
    pub is_test: bool,
    /// Those outside macro calls.
    pub functions: Vec<Sized>,
    /// With their number of fields.
    pub structs: Vec<Sized>,
    /// Outside tests.
    pub uses: Vec<Use>,
    /// Paths, without `.rs`, of the modules that stand under `#[cfg(test)]`.
    test_modules: Vec<String>,
}

/// Something with a size.
#[derive(Debug, PartialEq)]
pub struct Sized {
    /// With the type or module it stands in: `Node::start`.
    pub name: String,
    /// Lines or fields.
    pub size: usize,
}

/// A path that is named, such as `std::net::IpAddr`, or a macro, `println!`.
#[derive(Debug, PartialEq)]
pub struct Use {
    /// Where.
    pub line: usize,
    /// What.
    pub path: String,
}

impl RustSource {
    /// Parses the text of a file.
    pub fn parse(path: &str, text: &str) -> syn::Result<Self> {
        let file = syn::parse_file(text)?;
        let mut reader = Reader::default();
        reader.visit_file(&file);
        let folder = module_folder(path);
        Ok(Self {
            path: path.to_owned(),
            lines: text.lines().count(),
            has_module_doc: file.attrs.iter().any(|a| a.path().is_ident("doc")),
            is_test: path.split('/').any(|part| part == "tests"),
            functions: reader.functions,
            structs: reader.structs,
            uses: reader.uses,
            test_modules: reader
                .test_modules
                .iter()
                .map(|name| format!("{folder}/{name}"))
                .collect(),
        })
    }
}

/// `#[cfg(test)] mod x;` makes the file `x.rs`, and all below `x/`, a test.
pub fn mark_test_modules(sources: &mut [RustSource]) {
    let modules: Vec<String> = sources
        .iter()
        .flat_map(|source| source.test_modules.clone())
        .collect();
    for source in sources {
        source.is_test |= modules.iter().any(|module| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
    }
}

/// Where the modules of a file lie.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    }
}

/// Collects while it walks.
#[derive(Default)]
struct Reader {
    functions: Vec<Sized>,
    structs: Vec<Sized>,
    uses: Vec<Use>,
    test_modules: Vec<String>,
    /// The modules, types and functions around.
    around: Vec<String>,
    /// How many of them are tests.
    tests_around: usize,
}

impl Reader {
    /// Walks something that stands under `attributes` and bears a name, if it does.
    fn within(
        &mut self,
        attributes: &[Attribute],
        name: Option<String>,
        walk: impl FnOnce(&mut Self),
    ) {
        let is_test = attributes.iter().any(is_test_attribute);
        let depth = self.around.len();
        self.around.extend(name);
        self.tests_around += usize::from(is_test);
        walk(self);
        self.tests_around -= usize::from(is_test);
        self.around.truncate(depth);
    }

    fn named(&self, size: usize) -> Sized {
        let name = self.around.join("::");
        Sized { name, size }
    }

    fn function(
        &mut self,
        attributes: &[Attribute],
        signature: &Signature,
        body: &Block,
        walk: impl FnOnce(&mut Self),
    ) {
        self.within(attributes, Some(signature.ident.to_string()), |reader| {
            let first = signature.fn_token.span.start().line;
            let last = body.brace_token.span.close().end().line;
            let sized = reader.named(last + 1 - first);
            reader.functions.push(sized);
            walk(reader);
        });
    }

    fn add_use(&mut self, at: Span, path: String) {
        if self.tests_around == 0 {
            let line = at.start().line;
            self.uses.push(Use { line, path });
        }
    }

    fn add_path(&mut self, path: &syn::Path, ending: &str) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.add_use(first.ident.span(), format!("{}{ending}", names.join("::")));
        }
    }

    /// `use a::{b, c as d}` names `a::b` and `a::c`.
    fn add_use_tree(&mut self, prefix: &str, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                self.add_use_tree(&format!("{prefix}{}::", path.ident), &path.tree);
            }
            UseTree::Group(group) => {
                for item in &group.items {
                    self.add_use_tree(prefix, item);
                }
            }
            UseTree::Name(name) => {
                self.add_use(name.ident.span(), format!("{prefix}{}", name.ident))
            }
            UseTree::Rename(name) => {
                self.add_use(name.ident.span(), format!("{prefix}{}", name.ident))
            }
            UseTree::Glob(glob) => self.add_use(glob.star_token.span, format!("{prefix}*")),
        }
    }

    /// Inside a macro call there are only tokens: `a::b` is a path, `a!` a macro.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path = String::new();
        let mut start = Span::call_site();
        for token in tokens {
            match &token {
                TokenTree::Ident(ident) if path.is_empty() || path.ends_with("::") => {
                    if path.is_empty() {
                        start = ident.span();
                    }
                    path.push_str(&ident.to_string());
                    continue;
                }
                TokenTree::Punct(p)
                    if p.as_char() == ':' && !path.is_empty() && !path.ends_with("::") =>
                {
                    path.push(':');
                    continue;
                }
                TokenTree::Punct(p) if p.as_char() == '!' && !path.is_empty() => path.push('!'),
                _ => {}
            }
            self.end_path(start, &mut path);
            match token {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Ident(ident) => {
                    start = ident.span();
                    path = ident.to_string();
                }
                _ => {}
            }
        }
        self.end_path(start, &mut path);
    }

    fn end_path(&mut self, start: Span, path: &mut String) {
        let path = std::mem::take(path);
        if !path.is_empty() {
            self.add_use(start, path.trim_end_matches(':').to_owned());
        }
    }
}

fn is_test_attribute(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return attribute
            .path()
            .segments
            .last()
            .is_some_and(|s| s.ident == "test");
    };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// A type's last name, of `impl` blocks.
fn type_name(of: &syn::Type) -> String {
    match of {
        syn::Type::Path(path) => path
            .path
            .segments
            .last()
            .map_or_else(String::new, |segment| segment.ident.to_string()),
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => "_".to_owned(),
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Mod(module) => Some(module.ident.to_string()),
            Item::Trait(one) => Some(one.ident.to_string()),
            Item::Impl(block) => Some(type_name(&block.self_ty)),
            _ => None,
        };
        if let Item::Mod(module) = item
            && module.content.is_none()
            && module.attrs.iter().any(is_test_attribute)
        {
            self.test_modules.push(module.ident.to_string());
        }
        self.within(attributes_of(item), name, |reader| {
            visit::visit_item(reader, item)
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.attrs, &item.sig, &item.block, |reader| {
            visit::visit_item_fn(reader, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig, &item.block, |reader| {
            visit::visit_impl_item_fn(reader, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.attrs, &item.sig, body, |reader| {
                visit::visit_trait_item_fn(reader, item);
            });
        } else {
            visit::visit_trait_item_fn(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.within(&item.attrs, Some(item.ident.to_string()), |reader| {
            let sized = reader.named(item.fields.len());
            reader.structs.push(sized);
            visit::visit_item_struct(reader, item);
        });
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use_tree("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add_path(path, "");
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_path(&call.path, "!");
        self.add_tokens(call.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RustSource {
        RustSource::parse("a/src/b.rs", text).unwrap()
    }

    fn paths(text: &str) -> Vec<String> {
        parse(text).uses.into_iter().map(|one| one.path).collect()
    }

    fn sized(name: &str, size: usize) -> Sized {
        let name = name.to_owned();
        Sized { name, size }
    }

    #[test]
    fn functions_are_measured_without_their_docs() {
        let text = "/// Doc.\n#[inline]\nfn a() {\n    b();\n}\nstruct S;\nimpl S {\n    fn c(&self) {}\n}\n";
        let found = parse(text).functions;
        assert_eq!(found, [sized("a", 3), sized("S::c", 1)]);
    }

    #[test]
    fn fields_are_counted() {
        let found = parse("mod m { struct S { a: u8, b: u8 } struct T(u8); }").structs;
        assert_eq!(found, [sized("m::S", 2), sized("m::T", 1)]);
    }

    #[test]
    fn paths_are_found_in_uses_types_calls_and_macros() {
        assert_eq!(paths("use std::{fs, net::*};"), ["std::fs", "std::net::*"]);
        assert_eq!(paths("fn a() { std::env::var(1); }"), ["std::env::var"]);
        let inside = paths("fn a() { assert!(x.y, std::fs::read(z) == w, format!(\"{}\", 1)); }");
        assert_eq!(
            inside,
            ["assert!", "x", "y", "std::fs::read", "z", "w", "format!"]
        );
    }

    #[test]
    fn tests_name_no_paths() {
        assert!(
            paths("#[cfg(test)] mod tests { use std::fs; fn a() { std::fs::read(1); } }")
                .is_empty()
        );
        assert!(paths("#[test] fn a() { std::fs::read(1); }").is_empty());
        assert!(paths("#[cfg(test)] use std::fs;").is_empty());
    }

    #[test]
    fn modules_for_tests_are_tests_in_their_own_files_too() {
        let mut sources = [
            RustSource::parse("a/src/b.rs", "#[cfg(test)]\nmod proof;\nmod real;").unwrap(),
            RustSource::parse("a/src/b/proof.rs", "").unwrap(),
            RustSource::parse("a/src/b/proof/more.rs", "").unwrap(),
            RustSource::parse("a/src/b/real.rs", "").unwrap(),
            RustSource::parse("a/tests/it/main.rs", "").unwrap(),
        ];
        mark_test_modules(&mut sources);
        let marks = sources.map(|source| source.is_test);
        assert_eq!(marks, [false, true, true, false, true]);
    }
}
