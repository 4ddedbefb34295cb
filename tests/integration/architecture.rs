//! Imports point downward only, and no files import each other in a cycle.
//!
//! The test parses every file of `src` and resolves each `crate::`, `self::` and `super::` path, and each path into a
//! child module, to the file that defines the name: re-exports are followed. Test modules are ignored. A parent that
//! re-exports a child's items imports the child, so the child must not import what the parent defines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The layers from bottom to top: the one place that states them. A module imports from lower layers and from its own.
const LAYERS: &[&[&str]] = &[
    &["escape", "secrets", "message"],
    &["error", "excerpt", "hash_map", "colour", "pool", "process", "progress", "warnings", "watchdog", "manifest"],
    &["codec", "storage", "text", "recipe"],
    &["sample", "index"],
    &["input", "mixing", "tokens"],
    &["output"],
    &["cli", "settings"],
    &["report"],
    &["workflow"],
    &["pipeline"],
    &["commands"],
    &["testing", "main", "lib"],
];

/// A path within the crate, in a file and line.
struct Import {
    /// Segments after `crate`.
    path: Vec<String>,
    line: usize,
}

/// Collects the imports of one file.
struct Imports {
    /// The module that the visitor is in: the file's own, or an inline module.
    module: Vec<String>,
    found: Vec<Import>,
}

impl Imports {
    /// Adds a path as written in the source if it refers to this crate.
    fn add(&mut self, segments: &[String], line: usize) {
        let mut path = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(path.pop()),
                name => path.push(name.to_owned()),
            }
        }
        self.found.push(Import { path, line });
    }

    fn add_tree(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.add(&with(&name.ident), name.span().start().line),
            syn::UseTree::Rename(rename) => self.add(&with(&rename.ident), rename.span().start().line),
            syn::UseTree::Glob(glob) => self.add(prefix, glob.span().start().line),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, prefix)),
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.add_tree(&item.tree, &[]);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    // `pub(crate)` is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        for expression in arguments(call) {
            self.visit_expr(&expression);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments, path.span().start().line);
        visit::visit_path(self, path);
    }
}

/// The arguments of a macro call, if they are expressions.
fn arguments(call: &syn::Macro) -> Vec<syn::Expr> {
    let list = syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
    call.parse_body_with(list).map(|list| list.into_iter().collect()).unwrap_or_default()
}

/// A file of `src`.
struct SourceFile {
    /// Its path below `src`.
    name: String,
    /// Its module path within the crate; empty for `lib.rs`.
    module: Vec<String>,
    syntax: syn::File,
}

/// All files of `src`, without those of test modules.
fn source_files() -> Vec<SourceFile> {
    let root = test_support::repository().join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let files: Vec<SourceFile> = paths.iter().map(|path| parse(&root, path)).collect();
    let test_modules: Vec<Vec<String>> = files.iter().flat_map(declared_test_modules).collect();
    files.into_iter().filter(|file| !test_modules.iter().any(|module| file.module.starts_with(module))).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("cannot list a folder of src") {
        let path = entry.expect("cannot list a folder of src").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn parse(root: &Path, path: &Path) -> SourceFile {
    let name = path.strip_prefix(root).expect("the file is in src").to_str().expect("names are UTF-8").to_owned();
    let mut module: Vec<String> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    let text = std::fs::read_to_string(path).expect("cannot read a source file");
    let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    SourceFile { name, module, syntax }
}

/// The modules that a file declares with `#[cfg(test)] mod x;`.
fn declared_test_modules(file: &SourceFile) -> Vec<Vec<String>> {
    let declared = file.syntax.items.iter().filter_map(|item| match item {
        syn::Item::Mod(item) if item.content.is_none() && is_test(&item.attrs) => Some(item.ident.to_string()),
        _ => None,
    });
    declared.map(|name| [&file.module[..], &[name]].concat()).collect()
}

/// The names that a file defines or re-exports from its own child modules, and where a re-export comes from.
fn reexports(file: &SourceFile) -> BTreeMap<String, Vec<String>> {
    fn walk(tree: &syn::UseTree, prefix: &[String], found: &mut BTreeMap<String, Vec<String>>) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => walk(&path.tree, &with(&path.ident), found),
            syn::UseTree::Name(name) => drop(found.insert(name.ident.to_string(), with(&name.ident))),
            syn::UseTree::Rename(rename) => drop(found.insert(rename.rename.to_string(), with(&rename.ident))),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, prefix, found)),
            syn::UseTree::Glob(_) => {}
        }
    }
    let mut found = BTreeMap::new();
    for item in &file.syntax.items {
        if let syn::Item::Use(item) = item
            && !matches!(item.vis, syn::Visibility::Inherited)
        {
            walk(&item.tree, &[], &mut found);
        }
    }
    found
}

/// One file that imports another one.
struct Edge {
    from: String,
    line: usize,
    to: String,
}

/// The imports between different files: one of each pair of files.
fn edges(files: &[SourceFile]) -> Vec<Edge> {
    let by_module: BTreeMap<&[String], &SourceFile> =
        files.iter().filter(|file| file.name != "main.rs").map(|file| (&file.module[..], file)).collect();
    let mut lines: BTreeMap<(String, String), usize> = BTreeMap::new();
    for file in files {
        let mut imports = Imports { module: file.module.clone(), found: Vec::new() };
        imports.visit_file(&file.syntax);
        // `use child::Item` in a parent names the child without `self`.
        let children: Vec<String> = by_module
            .keys()
            .filter(|module| module.len() == file.module.len() + 1 && module.starts_with(&file.module))
            .filter_map(|module| module.last().cloned())
            .collect();
        let mut relative = Relative { children: &children, found: Vec::new() };
        relative.visit_file(&file.syntax);
        let relative = relative
            .found
            .into_iter()
            .map(|(segments, line)| Import { path: [&file.module[..], &segments].concat(), line });
        for import in imports.found.into_iter().chain(relative) {
            if let Some(to) = resolve(&import.path, &by_module)
                && to != file.name
            {
                lines.entry((file.name.clone(), to)).or_insert(import.line);
            }
        }
    }
    let edges: Vec<Edge> = lines.into_iter().map(|((from, to), line)| Edge { from, line, to }).collect();
    assert!(edges.len() > files.len(), "most files import several others");
    edges
}

/// Collects paths that begin with the name of a child module.
struct Relative<'c> {
    children: &'c [String],
    found: Vec<(Vec<String>, usize)>,
}

impl<'ast> Visit<'ast> for Relative<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        for expression in arguments(call) {
            self.visit_expr(&expression);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut all = Imports { module: Vec::new(), found: Vec::new() };
        // With `self` before it, the path is relative to this module.
        all.add_tree(&item.tree, &["self".to_owned()]);
        let line = item.span().start().line;
        let is_child = |import: &Import| import.path.first().is_some_and(|first| self.children.contains(first));
        let of_children: Vec<_> = all.found.into_iter().filter(is_child).map(|import| (import.path, line)).collect();
        self.found.extend(of_children);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 && self.children.contains(&segments[0]) {
            self.found.push((segments, path.span().start().line));
        }
        visit::visit_path(self, path);
    }
}

/// The file that defines what a path names; re-exports are followed.
fn resolve(path: &[String], by_module: &BTreeMap<&[String], &SourceFile>) -> Option<String> {
    let mut path = path.to_vec();
    // Each step replaces a re-exported name by its origin. The bound stops at re-exports that name each other.
    for _ in 0..16 {
        let length = (0..=path.len()).rev().find(|length| by_module.contains_key(&path[..*length]))?;
        let file = by_module[&path[..length]];
        let Some(origin) = path.get(length).and_then(|name| reexports(file).get(name).cloned()) else {
            return Some(file.name.clone());
        };
        let rest = path.split_off(length + 1);
        path = match origin[0].as_str() {
            "crate" => origin[1..].to_vec(),
            "self" => [&file.module[..], &origin[1..]].concat(),
            "super" => [&file.module[..length - 1], &origin[1..]].concat(),
            child if by_module.contains_key(&[&file.module[..], &[child.to_owned()]].concat()[..]) => {
                [&file.module[..], &origin].concat()
            }
            // A re-export from another crate.
            _ => return Some(file.name.clone()),
        };
        path.extend(rest);
    }
    None
}

/// The top-level module of a file.
fn top(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

fn layer(file: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&top(file)))
        .unwrap_or_else(|| panic!("{file}: add the module `{}` to LAYERS in {}", top(file), file!()))
}

/// The files of a cycle, if `edges` has one; each file imports the next.
fn cycles(edges: &[Edge]) -> Vec<Vec<String>> {
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for edge in edges {
        graph.entry(&edge.from).or_default().insert(&edge.to);
    }
    let mut found = Vec::new();
    let mut done = BTreeSet::new();
    for start in graph.keys().copied() {
        // The shortest way back to `start`, over files that are not part of an earlier cycle.
        let mut previous: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(file) = queue.pop_front() {
            for next in graph.get(file).into_iter().flatten().copied().filter(|next| !done.contains(next)) {
                if !previous.contains_key(next) {
                    previous.insert(next, file);
                    queue.push_back(next);
                }
            }
        }
        if previous.contains_key(start) {
            let mut cycle = vec![start.to_owned()];
            let mut at = previous[start];
            while at != start {
                cycle.push(at.to_owned());
                at = previous[at];
            }
            cycle.push(start.to_owned());
            cycle.reverse();
            found.push(cycle);
        }
        done.insert(start);
    }
    found
}

#[test]
fn the_scanner_finds_every_kind_of_path() {
    let syntax = syn::parse_file(
        "use crate::a::{self, b::{C, D as E}, *};
        pub(crate) use super::f;
        use std::fmt;
        fn g() -> crate::h::I { format!(\"{}\", crate::j::K); self::l() }
        #[cfg(test)] mod tests { use crate::m; }
        #[cfg(test)] use crate::n;",
    );
    let mut imports = Imports { module: vec!["x".to_owned(), "y".to_owned()], found: Vec::new() };
    imports.visit_file(&syntax.expect("the snippet is valid Rust"));
    let found: Vec<(String, usize)> =
        imports.found.iter().map(|import| (import.path.join("::"), import.line)).collect();
    let expected =
        [("a", 1), ("a::b::C", 1), ("a::b::D", 1), ("a", 1), ("x::f", 2), ("h::I", 4), ("j::K", 4), ("x::y::l", 4)];
    assert_eq!(found, expected.map(|(path, line)| (path.to_owned(), line)));
}

#[test]
fn imports_point_downward_only() {
    let edges = edges(&source_files());
    let upward = edges.iter().filter(|edge| layer(&edge.to) > layer(&edge.from));
    let listed: Vec<String> =
        upward.map(|edge| format!("src/{}:{} imports src/{}", edge.from, edge.line, edge.to)).collect();
    assert!(listed.is_empty(), "imports of a higher layer:\n{}", listed.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    let edges = edges(&source_files());
    let listed: Vec<String> = cycles(&edges).iter().map(|cycle| cycle.join(" -> ")).collect();
    assert!(listed.is_empty(), "cycles between files:\n{}", listed.join("\n"));
}

/// Finds `unsafe` blocks, functions, implementations and attributes.
#[derive(Default)]
struct Unsafe {
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Unsafe {
    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.lines.push(block.span().start().line);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.lines.extend(signature.unsafety.map(|token| token.span().start().line));
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.lines.extend(item.unsafety.map(|token| token.span().start().line));
        visit::visit_item_impl(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        self.lines.push(item.span().start().line);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("unsafe") {
            self.lines.push(attribute.span().start().line);
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        for expression in arguments(call) {
            self.visit_expr(&expression);
        }
    }
}

#[test]
fn unsafe_code_is_in_two_files_only() {
    const ALLOWED: [&str; 2] = ["storage/descriptor.rs", "process.rs"];
    let mut elsewhere = Vec::new();
    for file in source_files().iter().filter(|file| !ALLOWED.contains(&file.name.as_str())) {
        let mut found = Unsafe::default();
        found.visit_file(&file.syntax);
        elsewhere.extend(found.lines.iter().map(|line| format!("src/{}:{line}", file.name)));
    }
    assert!(elsewhere.is_empty(), "unsafe code outside of {ALLOWED:?}:\n{}", elsewhere.join("\n"));
}
