//! Merges the destination's file over the base file.
//!
//! Maps are merged key by key at every level. Any other value of the destination (a scalar, a list, nothing) replaces the
//! base's value. Each node remembers its file, and a node that replaced another also remembers that one's position, so that an
//! error can show both.

use crate::source::{Key, Node, NodeKind};

/// Merges `over` into `base`. An empty file changes nothing.
pub(crate) fn merge_files(base: Node, over: Node) -> Node {
    if over.kind == NodeKind::Null { base } else { merge(base, over) }
}

pub(crate) fn merge(base: Node, over: Node) -> Node {
    match (base.kind, over.kind) {
        (NodeKind::Map(base_entries), NodeKind::Map(over_entries)) => Node {
            span: base.span,
            kind: NodeKind::Map(merge_maps(base_entries, over_entries)),
            replaced: None,
        },
        (_, kind) => Node { span: over.span, kind, replaced: Some(base.span) },
    }
}

fn merge_maps(base: Vec<(Key, Node)>, over: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
    let mut over: Vec<Option<(Key, Node)>> = over.into_iter().map(Some).collect();
    let mut entries: Vec<(Key, Node)> = Vec::with_capacity(base.len() + over.len());
    for (key, node) in base {
        let same =
            over.iter_mut().find(|entry| entry.as_ref().is_some_and(|(name, _)| name.text == key.text));
        entries.push(match same.and_then(Option::take) {
            Some((over_key, over_node)) => {
                let both_maps = matches!((&node.kind, &over_node.kind), (NodeKind::Map(_), NodeKind::Map(_)));
                (if both_maps { key } else { over_key }, merge(node, over_node))
            }
            None => (key, node),
        });
    }
    entries.extend(over.into_iter().flatten());
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::parse;

    fn flat(node: &Node) -> String {
        match &node.kind {
            NodeKind::Map(entries) => {
                let inner: Vec<String> =
                    entries.iter().map(|(k, v)| format!("{}:{}", k.text, flat(v))).collect();
                format!("{{{}}}", inner.join(" "))
            }
            NodeKind::List(items) => format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(" ")),
            NodeKind::Scalar(scalar) => format!("{}/{}", scalar.text, node.span.file),
            NodeKind::Null | NodeKind::Wrong => "~".into(),
        }
    }

    #[test]
    fn maps_merge_and_the_rest_is_replaced() {
        let cases = [
            ("a: 1\nb: 2", "b: 3\nc: 4", "{a:1/0 b:3/1 c:4/1}"),
            ("a: {b: {c: 1, d: 2}}", "a: {b: {d: 3}}", "{a:{b:{c:1/0 d:3/1}}}"),
            ("a: [1, 2]", "a: [3]", "{a:[3/1]}"),
            ("a: {b: 1}", "a: [3]", "{a:[3/1]}"),
            ("a: [1]", "a: {b: 1}", "{a:{b:1/1}}"),
            ("a: {b: 1}", "a:", "{a:~}"),
            ("a: 1", "# nothing", "{a:1/0}"),
            ("", "a: 1", "{a:1/1}"),
            ("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3", "", "{x:{a:1/0 b:2/0} y:{a:1/0 b:3/0}}"),
        ];
        for (base, over, merged) in cases {
            let mut errors = Vec::new();
            let base = parse(0, base, &mut errors).unwrap();
            let over = parse(1, over, &mut errors).unwrap();
            assert_eq!(flat(&merge_files(base, over)), merged);
            assert_eq!(errors, []);
        }
    }

    #[test]
    fn what_was_replaced_is_remembered() {
        let mut errors = Vec::new();
        let base = parse(0, "a: 1", &mut errors).unwrap();
        let over = parse(1, "a: 22", &mut errors).unwrap();
        let NodeKind::Map(entries) = merge_files(base.clone(), over).kind else { panic!("a map") };
        let NodeKind::Map(old) = base.kind else { panic!("a map") };
        assert_eq!(entries[0].1.replaced, Some(old[0].1.span));
    }
}
